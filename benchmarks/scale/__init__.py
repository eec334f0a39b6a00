"""Plans of thousands of scans: how long Snakemake thinks, and how many jobs a change costs."""
