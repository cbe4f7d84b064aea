"""Small towers that learn a large model's embeddings on clips without labels, and a fusion on top."""

from emorec_train.training.students.run import StudentRun, distill_students

__all__ = ["StudentRun", "distill_students"]
