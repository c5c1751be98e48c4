"""What mkdocs has to be told so that pages written for GitHub come out right, and a check of what was built.

mkdocs calls these functions by their names (`hooks` in mkdocs.yml).
"""

import posixpath
import re
import shutil
from pathlib import Path
from typing import Any

REPOSITORY = "https://github.com/uploadpp/upload-postprocessing"
_LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(\))")
_ITEM = re.compile(r"\d+\. ")
_LOADED = re.compile(
    r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=[\"']?(?:https?:)?//"
    r"|<link\b(?=[^>]*\brel=[\"']?(?:stylesheet|preload|preconnect|icon))[^>]*\bhref=[\"']?(?:https?:)?//"
    r"|@import\s+(?:url\()?[\"']?(?:https?:)?//|url\([\"']?(?:https?:)?//"
)
_CELL_CODE = re.compile(r"(?<=<code>)[^<]{20,}(?=</code>)")
_LONG_NAME = re.compile(r"[_/=](?=\w{3})|(?<=[a-z])\.(?=\w)")
MERMAID = "mermaid.min.js"


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:  # noqa: ANN401 -- objects of mkdocs
    """Lead links out of docs/ to the repository, and indent what belongs to an item of a list by four."""
    folder = posixpath.dirname(page.file.src_uri)
    out, fenced, listed = [], False, False
    for line in markdown.splitlines():
        fence = line.lstrip().startswith("```")
        if not fenced:
            if _ITEM.match(line):
                listed = True
            elif line and not line.startswith(" "):
                listed = False
        within = listed and line.startswith("   ")
        changed = line if fenced or fence else _LINK.sub(lambda found: _outside(found, folder), line)
        out.append(" " + changed if within else changed)
        fenced ^= fence
    return "\n".join(out)


def _outside(found: re.Match[str], folder: str) -> str:
    target = found[2]
    path = posixpath.normpath(posixpath.join("docs", folder, target))
    if re.match(r"[a-z]+:", target) or path.startswith("docs/"):
        return found[0]
    kind = "blob" if "." in posixpath.basename(path) else "tree"
    return f"{found[1]}{REPOSITORY}/{kind}/main/{path}{found[3] or ''}{found[4]}"


def on_page_content(html: str, *, page: Any, config: Any, **_: Any) -> str:  # noqa: ANN401 -- same
    """Let long names in tables break, and draw diagrams with the copy of mermaid if there is one."""
    html = _CELL_CODE.sub(lambda found: _LONG_NAME.sub(r"\g<0><wbr>", found[0]), html)
    if 'class="mermaid"' not in html:
        return html
    if not _mermaid(config).exists():
        return html.replace('class="mermaid"', 'class="diagram"')
    up = "../" * page.file.dest_uri.count("/")
    return f'{html}<script src="{up}assets/{MERMAID}"></script>'


def _mermaid(config: Any) -> Path:  # noqa: ANN401 -- same
    """Where `scripts/docs` has put it."""
    return Path(config["config_file_path"]).parent / ".cache/docs" / MERMAID


def on_post_build(*, config: Any, **_: Any) -> None:  # noqa: ANN401 -- same
    """Add mermaid, and refuse a site that loads something from elsewhere.

    Raises:
        SystemExit: a page or style sheet does.
    """
    site = Path(config["site_dir"])
    if _mermaid(config).exists():
        shutil.copy(_mermaid(config), site / "assets" / MERMAID)
    found = [
        f"{path.relative_to(site)}: {match[0]}"
        for path in [*site.rglob("*.html"), *site.rglob("*.css")]
        for match in _LOADED.finditer(path.read_text(encoding="utf-8"))
    ]
    if found:
        raise SystemExit("\n".join(["the site loads from elsewhere:", *found]))
