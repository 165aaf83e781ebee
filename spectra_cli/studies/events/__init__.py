"""What happens in a run while it trains: settled, collapsed, jumped, broken. Pure functions of a table's rows."""

from spectra_cli.studies.events.companion import EventFile
from spectra_cli.studies.events.detector import Detector
from spectra_cli.studies.events.event import BROKEN, COLLAPSE, PHASE_TWO, SPIKE, Event
from spectra_cli.studies.events.measurement import METRICS, Measurement, measurement_of

__all__ = [
    "BROKEN", "COLLAPSE", "METRICS", "PHASE_TWO", "SPIKE", "Detector", "Event", "EventFile", "Measurement",
    "measurement_of",
]  # fmt: skip
