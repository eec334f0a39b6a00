# The checked configuration as a file, for the commands that read more than a few settings.
import hashlib

from lungline.config.loading import config_text
from lungline.storage.saved_config import write_saved_config


rule write_config:
    output:
        FILES.config,
    log:
        out("logs/write_config.log"),
    localrule: True
    params:
        digest=hashlib.sha256(config_text(CONFIG).encode()).hexdigest()[:16],
    message:
        "Writing the checked configuration"
    run:
        Path(output[0]).parent.chmod(0o700)
        write_saved_config(Path(output[0]), CONFIG)
