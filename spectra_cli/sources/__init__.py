"""Where checkpoints lie: each source gives a listing of them, in step order, and what it could not read."""

from spectra_cli.sources.choose import choose as choose
from spectra_cli.sources.choose import pick_reference as pick_reference
from spectra_cli.sources.folder import Listing as Listing
from spectra_cli.sources.folder import Unread as Unread
from spectra_cli.sources.folder import fingerprint as fingerprint
from spectra_cli.sources.folder import list_folder as list_folder
from spectra_cli.sources.folder import with_tokens as with_tokens
from spectra_cli.sources.names import gaps as gaps
