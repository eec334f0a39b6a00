# lungline: from raw chest CT to one probability per patient. Research use only. Not a medical device.
from pathlib import Path

from snakemake.utils import min_version

from lungline.reports.summary import summarise
from lungline.runner.locks import hold, trouble_with
from lungline.storage.saved_config import write_saved_config

min_version("9.27")


configfile: f"{workflow.basedir}/config/config.yaml"


report: "report/workflow.rst"


module steps:
    snakefile:
        "rules/steps.smk"
    config:
        config


use rule * from steps


OUTDIR = Path(steps.CONFIG.outdir)
RUNNING = []


# The configuration as a file, for commands that read more than a few settings. Not made by a rule: Snakemake 9.27 does
# not look at the parameters of jobs behind an `ancient` input whose maker must run, so every change would be missed.
onstart:
    RUNNING.append(hold(OUTDIR))  # two runs that start together both pass Snakemake's own lock
    write_saved_config(Path(steps.FILES.config), steps.CONFIG)


onsuccess:
    print(summarise(OUTDIR))


onerror:
    print(trouble_with(OUTDIR) or "Mend the cause above, then run the same command again: it goes on.")
