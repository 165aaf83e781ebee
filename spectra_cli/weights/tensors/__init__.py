"""How a tensor is made of what files hold: each kind of tensor is a class that reads itself."""
