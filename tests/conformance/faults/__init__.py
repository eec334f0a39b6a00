"""The fault plan: kill, fill the disk, interrupt trainings, start twice; then the same command again."""
