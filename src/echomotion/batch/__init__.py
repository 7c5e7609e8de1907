"""A folder of recordings, analysed one after the other: each on its own, then as tables and a page of all."""

from echomotion.batch.case import Case, CaseStatus
from echomotion.batch.recordings import Recording, find_recordings
from echomotion.batch.run import Batch, analyze_folder

__all__ = ["Batch", "Case", "CaseStatus", "Recording", "analyze_folder", "find_recordings"]
