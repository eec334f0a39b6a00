"""Malformed raw scans and mutants: what lungline and its peers make of them."""
