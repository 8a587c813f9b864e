"""Names on S3: uploaded by a device, listed, read and archived as what they are."""

import pytest
from odd_names import MATCHED, ODD

from edge.outbox.landing import Landing
from steps.landing.archive import archive
from steps.landing.listing import list_landing_zone
from steps.landing.place import read

pytestmark = pytest.mark.cluster


def test_no_name_is_taken_as_a_pattern(site):
    source, archived = "s3a://vision/odd", "s3a://vision/odd archive"
    device = Landing("s3://vision/odd")
    for name in [*MATCHED, *ODD, *ODD]:
        assert device.put(name, name.encode()) == name
    files = {file.path.removeprefix(f"{source}/"): file for file in list_landing_zone(source).files}
    expected = {name: name.encode() for name in [*MATCHED, *ODD]}
    assert {name: read(file.path) for name, file in files.items()} == expected
    assert archive([files[name] for name in ODD], source, archived) == len(ODD)
    for home, names in ((source, MATCHED), (archived, ODD)):
        found = [file.path for file in list_landing_zone(home).files]
        assert {path.removeprefix(f"{home}/"): read(path) for path in found} == {
            name: name.encode() for name in names
        }
