"""Names of images that something on their way might take as a pattern, a URI or an option."""

import unicodedata

ODD = [
    *("img[1].jpg", "star*.jpg", "a?b.jpg", "50%.jpg", "a#b.jpg", "a b.jpg", "a%20b.jpg"),
    *("Tür über.jpg", unicodedata.normalize("NFD", "Tür.jpg"), "-rf.jpg", "~.jpg", "👟.jpg"),
    *("a::b.jpg", "{a,b}.jpg", "$HOME.jpg", "a;b&c.jpg", "a\\b.jpg", "'\".jpg", "\t.jpg", " .jpg"),
    *("[!a]/**/1.jpg", "s3:/1.jpg", "a=b/c,d.jpg", "+.jpg", "\x01.jpg", "b.JFIF"),
]

ON_DISK = [*ODD, "new\nline.jpg", "a?versionId=1.jpg"]
"""moto answers 404 to the one, and s3fs takes the other as a version of ``a``."""

MATCHED = ["img1.jpg", "starfish.jpg", "axb.jpg", "b.jpg"]
"""What the patterns among them would match."""
