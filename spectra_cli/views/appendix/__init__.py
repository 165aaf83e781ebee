"""A folder that a paper can take over: the page, every figure with its caption, findings, methods, references."""

from spectra_cli.views.appendix.appendix import Appendix as Appendix
from spectra_cli.views.appendix.appendix import write_appendix as write_appendix
