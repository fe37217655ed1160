from svdlens.errors import SvdlensError as SvdlensError
from svdlens.interactive.tables import directions as directions
from svdlens.interactive.tables import spectra as spectra

SCHEMA_VERSION: int
