"""Where checkpoints are: each source is listed in step order, with what it could not read, and its files made local."""

from spectra_cli.sources.address import is_hub as is_hub
from spectra_cli.sources.address import join as join
from spectra_cli.sources.address import parse_seconds as parse_seconds
from spectra_cli.sources.address import parse_size as parse_size
from spectra_cli.sources.changes import contents as contents
from spectra_cli.sources.changes import fingerprint as fingerprint
from spectra_cli.sources.changes import last_change as last_change
from spectra_cli.sources.folder import Listing as Listing
from spectra_cli.sources.folder import Unread as Unread
from spectra_cli.sources.folder import list_folder as list_folder
from spectra_cli.sources.folder import with_tokens as with_tokens
from spectra_cli.sources.hub.cache import cached_path as cached_path
from spectra_cli.sources.hub.client import Client as Client
from spectra_cli.sources.hub.listing import committed as committed
from spectra_cli.sources.hub.listing import list_hub as list_hub
from spectra_cli.sources.hub.listing import resolve_files as resolve_files
from spectra_cli.sources.hub.retry import RetryPolicy as RetryPolicy
from spectra_cli.sources.local_files import CheckpointFiles as CheckpointFiles
from spectra_cli.sources.local_files import LocalFiles as LocalFiles
from spectra_cli.sources.local_files import recurring as recurring
from spectra_cli.sources.names import gaps as gaps
from spectra_cli.sources.select import Chosen as Chosen
from spectra_cli.sources.select import StepRange as StepRange
from spectra_cli.sources.select import choose as choose
from spectra_cli.sources.select import pick_reference as pick_reference
from spectra_cli.sources.stages import StageOrder as StageOrder
