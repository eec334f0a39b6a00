#!/usr/bin/env bash
# Library:  pynetdicom 3.0.4, pydicom 3.0.2
# Guess:    A file in Explicit VR, sent between two sides with default settings, arrives with the same elements.
# Seen:     The first transfer syntax that is offered, and taken, is Implicit VR, and the file is converted on the way:
#           a private decimal string of 1.5 arrives as UN with the bytes "1.5 ".
# Matters:  Private elements of scanners (doses, phases, slopes) are numbers on the sending side and bytes in the
#           archive; a rule for them that was tried on files of a disk does not match.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cp "$(dirname "$0")/dicom_phantom.py" "$place"
cd "$place"
python3 -m venv venv
venv/bin/pip install --quiet --no-compile pynetdicom==3.0.4 pydicom==3.0.2 numpy==2.4.6
venv/bin/python - <<'PYTHON'
import numpy as np
from dicom_phantom import write_series
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pynetdicom import AE, evt

ds = write_series("ct", np.zeros((1, 4, 5)))[0]
ds.private_block(0x0029, "SCANNER", create=True).add_new(1, "DS", "1.5")
ds.save_as("ct/000.dcm", enforce_file_format=True)


def sent(*syntaxes):
    """What arrives if these transfer syntaxes are offered, pynetdicom's own if none."""
    arrived = []

    def store(event):
        element = event.dataset[0x0029, 0x1001]
        arrived.append((event.context.transfer_syntax.name, element.VR, element.value))
        return 0x0000

    archive, scanner = AE(), AE()
    archive.add_supported_context(CTImageStorage)
    scanner.add_requested_context(CTImageStorage, *syntaxes)
    server = archive.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    association = scanner.associate("127.0.0.1", server.server_address[1])
    association.send_c_store("ct/000.dcm")
    association.release()
    server.shutdown()
    return arrived[0]


seen = sent(), sent(ExplicitVRLittleEndian)
print("by default:", seen[0], "| only Explicit VR offered:", seen[1])
as_stated = seen == (
    ("Implicit VR Little Endian", "UN", b"1.5 "),
    ("Explicit VR Little Endian", "DS", 1.5),
)
raise SystemExit(None if as_stated else "This is not what the header of this file states.")
PYTHON
