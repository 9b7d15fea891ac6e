"""Contents: what the touches of plays say, as templates that people write and that are checked before use.

A template can show names and make small choices, and nothing else: it cannot loop, call, import or read a
file, so that whatever it is given, it ends, and its output is about as long as its source.
"""

from governance.content._build import build_content
from governance.content._file import ContentFile, Part
from governance.content._made import Unlike, unlike
from governance.content._templates import PLACEHOLDER, Content, ContentError, Speaking

__all__ = [
    "PLACEHOLDER",
    "Content",
    "ContentError",
    "ContentFile",
    "Part",
    "Speaking",
    "Unlike",
    "build_content",
    "unlike",
]
