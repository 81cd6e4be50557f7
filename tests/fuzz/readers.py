"""Every reader of users' files in this project."""

from ascend_readers import ASCEND_READERS
from model_readers import MODEL_READERS
from mutants import MUTANT_READERS
from run_readers import RUN_READERS

READERS = {reader.name: reader for reader in (*MODEL_READERS, *MUTANT_READERS, *RUN_READERS, *ASCEND_READERS)}
