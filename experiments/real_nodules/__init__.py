"""Real nodules of LIDC-IDRI: how well lungline's networks outline them, and tell the readers' malignant from benign."""
