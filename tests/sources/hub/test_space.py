"""The bound of the scratch folder, whatever is fetched while what it is for is closed."""

from pathlib import Path

from spectra_cli.records import Remote, RemoteFile
from spectra_cli.sources.hub.client import Client
from spectra_cli.sources.hub.store import Store

SIZE = 8192
FILE = RemoteFile("model.safetensors", SIZE, "ab" * 32)
REMOTE = Remote("own/small", "0" * 40, files=(FILE,))


def test_what_is_fetched_for_a_view_that_closes_meanwhile_leaves_its_room_to_others(tmp_path: Path) -> None:
    store = Store(Client(), tmp_path, SIZE, lambda *_: None, selective=False, together=1)
    view = store.open_view(REMOTE)
    blob = view.blobs[FILE.name]
    store.space.pin(blob, +1)  # as one does who fetches it ahead
    store.space.reserve(view, blob, SIZE, ahead=True)
    store.close_view(view)
    again = store.open_view(REMOTE).blobs[FILE.name]
    assert again is blob  # so that two never write one file
    store.space.release_view(2, [again])
    blob.path.write_bytes(bytes(SIZE))
    store.space.record(blob, (0, SIZE))
    store.space.pin(blob, -1)
    assert not blob.path.exists()
    assert store.space.reserve(view, blob, SIZE, ahead=True) == SIZE  # no "no longer needed"
    store.close()
