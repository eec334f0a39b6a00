"""lungline: lung cancer from chest CT. Research use only. Not a medical device."""

__version__ = "0.1.0"

NOTICE = "Research use only. Not a medical device."
