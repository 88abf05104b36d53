"""Google Drive's public files and folders, asked as a browser without an account asks.

None of it is a documented interface. The order of requests, the forms of the page that stands before a large file, and
the folder view are gdown's (github.com/wkentaro/gdown 6.5.1, MIT: `download.py`, `download_folder.py`); how Google says
no is from public captures of its pages. Neither tells a checksum, and the folder view no size.
"""

from __future__ import annotations

import logging
import re
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from openus.data import Access, RemoteFile
from openus.errors import FetchError
from openus.fetch.address import below, redacted
from openus.fetch.archive import kind
from openus.fetch.client import BY_HAND, Answer, Client, name_of
from openus.fetch.content import page_title

log = logging.getLogger(__name__)

DRIVE = "https://drive.google.com"
DIRECT = "https://drive.usercontent.google.com/download?id={}&export=download&confirm=t"
"""Gives most files of any size without a page before them."""
MOST_PAGES = 4
"""Pages before one file: the one to confirm, and some to spare."""
MOST_FOLDERS = 2000
MOST_PAGE = 4 << 20
"""Bytes; a folder's page takes a thousand or two for each entry."""

_GOOGLE = re.compile(r"https://(?:[a-z0-9-]+\.)*google\.com(?::443)?/\S*")
_ID = r"(?P<id>[-\w]{15,})"
_ENTRY = re.compile(
    r"https://(?:drive|docs)\.google\.com/(?:(?P<folder>drive/(?:u/\d+/)?folders)|(?P<file>file/d)|\w+/d)/" + _ID
)
_DOCUMENT = re.compile(r"/(document|spreadsheets|presentation)/d/(?!.*/export)")
_EXPORTS = {"document": "docx", "spreadsheets": "xlsx", "presentation": "pptx"}

_PRIVATE = "is not public: Google wants a login", f"Ask its owner. {BY_HAND}"
_REFUSALS = (
    (
        r"too many users have viewed|^google drive [-–] (?:la )?(?:quota|cuota|kuota|quote)",
        ("was downloaded by too many users: its quota is used up", f"Try again in a day. Or: {BY_HAND}"),
    ),
    (
        r"infected with a virus",
        ("is infected with a virus, says Google, and only its owner gets it", "Tell its owner."),
    ),
    (
        r"cannot be downloaded by the user",
        ("may be looked at only: its owner switched downloads off", "Ask its owner."),
    ),
    (
        r"automated queries|unusual traffic",
        ("is refused: Google takes this network for a robot", f"Try again later, or from elsewhere. {BY_HAND}"),
    ),
    (r"you need (?:access|permission)", _PRIVATE),
)
"""What the text of a page says (in lower case) -> what that means, and what to do."""


def resolve(access: Access, client: Client) -> list[RemoteFile]:
    """The public files that `access.ids` name, and those of the folder that it names.

    Read are `file`, `drive_file`, every `gdrive_…` that ends in no year (those are older copies), and `folder`.

    Raises FetchError where there is none, and where Drive does not give one: it is gone, private, infected, not to be
    downloaded, out of quota, or one of two of the same name.
    """
    key = re.compile(r"file|drive_file|gdrive_(?!.*(?:19|20)\d\d$).+")
    ids = dict.fromkeys(value for name, value in access.ids.items() if key.fullmatch(name))
    folder = access.ids.get("folder")
    for one in [*ids, *([folder] if folder is not None else [])]:
        if not re.fullmatch(_ID, one):
            raise FetchError(f"{one!r} is no id of Google Drive.", BY_HAND)
    files = [_file(client, one) for one in ids]
    if folder is not None:
        files += _folder(client, folder)
    if not files:
        raise FetchError(f"Google Drive has no copy of what {access.url} gives.", " ".join(access.steps) or BY_HAND)
    names = [file.name for file in files]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FetchError(f"Google Drive gives more than one file named {twice[0]!r} for {access.url}.", BY_HAND)
    return files


def _file(client: Client, one: str, name: str | None = None) -> RemoteFile:
    """The file of id `one`, by its own name unless by `name`. Of its body nothing is read."""
    what, url = f"The file {one} on Google Drive", f"{DRIVE}/uc?id={one}&export=download"
    for _ in range(MOST_PAGES):
        answer, page = _asked(client, what, url, f"{DRIVE}/open?id={one}")
        if page is None:
            name = name or name_of(answer)
            if name is None:
                raise FetchError(f"{what} comes without a name.", BY_HAND)
            length = answer.headers.get("content-length", "")
            return RemoteFile(name, url, int(length) if length.isdecimal() else None, archive=kind(name))
        if found := _DOCUMENT.search(urlsplit(answer.url).path):
            document = found[1]
            url = f"https://docs.google.com/{document}/d/{one}/export?format={_EXPORTS[document]}"
        else:
            url = _confirmed(what, page)
    raise FetchError(f"{what} is behind one page after the other.", BY_HAND)


def _folder(client: Client, top: str) -> list[RemoteFile]:
    """The files below the folder of id `top`, by their paths in it.

    Archives are asked for one by one: those are large, and only an answer has an address that is sure, and a size.
    """
    files: dict[tuple[str, str], RemoteFile] = {}
    seen, left = {top}, [(top, "")]
    while left:
        here, path = left.pop(0)
        what = f"The folder {path or here} on Google Drive"
        _, page = _asked(client, what, f"{DRIVE}/embeddedfolderview?id={here}")
        entries = [(found, "".join(text)) for href, text in _Page(page or "").links if (found := _ENTRY.match(href))]
        if page is None or not (entries or "flip-entries" in page):
            raise _refusal(what, page or "")
        for found, title in entries:
            name, one = re.sub(r"[/\\]", "_", title), found["id"]  # a title is no path: `/` is a letter like others
            if name in ("", ".", ".."):
                raise FetchError(f"{what} holds an entry named {name!r}, which is refused.", BY_HAND)
            if name.startswith("."):
                log.warning("%s: %r is left out: it is hidden.", what, name)
            elif found["file"]:
                files[path + name, one] = RemoteFile(path + name, DIRECT.format(one), archive=kind(name))
            elif not found["folder"]:
                log.warning("%s: %r is left out: it is a document of Google's own, not a file.", what, name)
            elif one not in seen:  # links may lead in circles
                seen.add(one)
                left.append((one, f"{path}{name}/"))
        if len(seen) > MOST_FOLDERS:
            raise FetchError(f"The folder {top} on Google Drive holds more than {MOST_FOLDERS:,} others.", BY_HAND)
    if not files:
        raise FetchError(f"The folder {top} on Google Drive holds no file.", "Look at it in a browser.")
    return [_file(client, one, name) if file.archive else file for (name, one), file in files.items()]


def _asked(client: Client, what: str, url: str, shown: str | None = None) -> tuple[Answer, str | None]:
    """What `url` answers, and its page: None where the answer is a file. `shown`: where else to look after a 500."""

    def attempt() -> tuple[Answer, str | None]:
        with client.open(url) as answer:
            if answer.status == 200 and "content-disposition" in answer.headers:
                return answer, None
            page = _page(client, what, answer)
            if answer.status != 500 or shown is None:
                client.expect(answer, url)
                return answer, page
        with client.open(shown) as other:  # a document of Google's own shows itself here
            page = _page(client, what, other)
            if not _DOCUMENT.search(urlsplit(other.url).path):
                client.expect(answer, url)
            return other, page

    return client.patiently(redacted(url), attempt)


def _page(client: Client, what: str, answer: Answer) -> str:
    """The page of an answer that is no file. Raises FetchError where its address, status or text is Google's no."""
    if below(answer.url, client.mapped("https://accounts.google.com")) or answer.status == 401:
        raise FetchError(f"{what} {_PRIVATE[0]}.", _PRIVATE[1])
    if answer.status in (404, 410):
        raise FetchError(f"{what} is gone ({answer.status}).", f"Look at the source's page for a new link. {BY_HAND}")
    data = bytearray()
    if answer.headers.get("content-type", "text/html").startswith("text/"):
        for chunk in answer.chunks:
            data += chunk
            if len(data) > MOST_PAGE:
                raise FetchError(f"{what} has a page of more than {MOST_PAGE >> 20} MiB.", BY_HAND)
    page = bytes(data).decode("utf-8", "replace")
    if answer.status == 403 or (answer.status != 200 and _reason(page) is not None):
        raise _refusal(what, page)
    return page


def _confirmed(what: str, page: str) -> str:
    """The address behind a page that asks whether to go on: an old link, the form, or a script's, in gdown's order.

    Raises FetchError where the page asks nothing, and where it leads away from Google.
    """
    read = _Page(page)
    link = next((href for href, _ in read.links if href.startswith("/uc?export=download")), None)
    script = re.search(r'"downloadUrl":"([^"]+)', page)
    if link is not None:
        found = f"https://docs.google.com{link}"
    elif read.action is not None:
        found = read.action
    elif script:
        found = script[1].replace("\\u003d", "=").replace("\\u0026", "&")
    else:
        raise _refusal(what, page)
    if not _GOOGLE.fullmatch(found):
        raise FetchError(f"{what} leads to {found.partition('?')[0][:200]!r}, which is not Google's.", BY_HAND)
    if link is None and read.action is not None:
        parts = urlsplit(found)
        found = urlunsplit(parts._replace(query=urlencode(dict(parse_qsl(parts.query)) | read.fields)))
    return found


def _refusal(what: str, page: str) -> FetchError:
    """What a page says that gives nothing."""
    reason, hint = _reason(page) or (None, BY_HAND)
    if reason is not None:
        return FetchError(f"{what} {reason}.", hint)
    said = " ".join(_Page(page).words)[:200]
    return FetchError(f"{what}: {page_title(page.encode()) or 'nothing'} came in its place ({said!r}).", hint)


def _reason(page: str) -> tuple[str, str] | None:
    said = " ".join(_Page(page).words).lower()
    return next((known for pattern, known in _REFUSALS if re.search(pattern, said)), None)


class _Page(HTMLParser):
    """What of a page counts: its words, its links with theirs, and the form before a download."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[tuple[str, list[str]]] = []
        self.action: str | None = None
        self.fields: dict[str, str] = {}
        self._form = self._link = self._code = False
        self.feed(page.replace("<!", "<"))  # the parser takes quadratic time for comments without end
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a link, the form, or one of its hidden fields."""
        has = {name: value or "" for name, value in attrs}
        if tag == "a":
            self._link = True
            self.links.append((has.get("href", ""), []))
        elif tag == "form" and has.get("id") == "download-form":
            self._form, self.action = True, has.get("action", "")
        elif tag == "input" and self._form and has.get("type") == "hidden":
            self.fields[has.get("name", "")] = has.get("value", "")
        self._code = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        """Note the end of it."""
        self._link = self._link and tag != "a"
        self._form = self._form and tag != "form"
        self._code = False

    def handle_data(self, data: str) -> None:
        """Note what a reader sees."""
        if not self._code:
            self.words += data.split()
        if self._link:
            self.links[-1][1].append(data.strip())
