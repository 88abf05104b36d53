"""The download sites, each in the shape of its true records, serving a folder of files as one of its data sets."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from xml.sax.saxutils import escape

from server import Reply, Request, Server, ranged

from openus.data import Card

Files = Mapping[str, bytes]
"""Path -> bytes, as the publisher uploaded them."""


def serve(server: Server, card: Card, files: Files) -> dict[str, str]:
    """Let `server` be the card's site, holding `files`. Returns the mirrors that lead there."""
    return _SITES[card.access.kind](server, card, files)


def _json(value: Any) -> Reply:
    return Reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def blob(data: bytes) -> str:
    """The git SHA-1 of a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def zipped(files: Files, top: str = "", *, described: bool = False) -> bytes:
    """A zip; `described`: written as a stream, with sizes behind each member."""

    class Unseekable(io.BytesIO):
        def seekable(self) -> bool:
            return not described

        def tell(self) -> int:
            if described:
                raise io.UnsupportedOperation
            return super().tell()

    out = Unseekable()
    with zipfile.ZipFile(out, "w") as archive:
        for path, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(top + path), data)
    return out.getvalue()


def zenodo(server: Server, card: Card, files: Files) -> dict[str, str]:
    record, site = card.access.ids["record"], "https://zenodo.org"
    entries = [
        {
            "id": f"uuid-{n}", "key": name, "size": len(data), "checksum": f"md5:{_md5(data)}",
            "links": {"self": f"{site}/api/records/{record}/files/{quote(name)}/content"},
        }
        for n, (name, data) in enumerate(sorted(files.items()))
    ]  # fmt: skip
    server.route(f"/zenodo/api/records/{record}", _json({
        "id": int(record), "conceptrecid": "1", "recid": record, "status": "published", "state": "done",
        "metadata": {"title": card.title, "access_right": "open"}, "files": entries,
    }))  # fmt: skip
    for name, data in files.items():
        server.file(f"/zenodo/api/records/{record}/files/{name}/content", data, etag=None,
                    modified="Fri, 27 Nov 2026 10:00:00 GMT", headers={"Retry-After": "60"})  # fmt: skip
    return {site: f"{server.url}/zenodo"}


def figshare(server: Server, card: Card, files: Files) -> dict[str, str]:
    article, version = card.access.ids["article"], card.access.ids.get("version")
    first = int(card.access.ids.get("file", 30_000))
    rows = [
        {
            "id": first + n, "name": name.rpartition("/")[2], "size": len(data), "is_link_only": False,
            "download_url": f"https://ndownloader.figshare.com/files/{first + n}",
            "supplied_md5": "", "computed_md5": _md5(data), "mimetype": "application/zip",
        }
        for n, (name, data) in enumerate(sorted(files.items()))
    ]  # fmt: skip
    base = f"/fs/v2/articles/{article}" + (f"/versions/{version}" if version else "")
    about = {"id": int(article), "title": card.title, "version": int(version or 1), "files": rows[:10]}
    server.route(base, _json(about))

    def page(request: Request) -> Reply:
        number, size = int(request.query.get("page", 1)), int(request.query.get("page_size", 10))
        return _json(rows[(number - 1) * size : number * size])

    server.route(f"{base}/files", page)
    for row, (_, data) in zip(rows, sorted(files.items()), strict=True):
        place = f"https://s3-eu-west-1.amazonaws.com/pfigshare-u-files/{row['id']}/{quote(str(row['name']))}?X-Amz-Expires=10"
        server.route(f"/nd/files/{row['id']}", Reply(302, b"", {"Location": place}))
        server.file(f"/s3/pfigshare-u-files/{row['id']}/{row['name']}", data)
    return {
        "https://api.figshare.com": f"{server.url}/fs",
        "https://ndownloader.figshare.com": f"{server.url}/nd",
        "https://s3-eu-west-1.amazonaws.com": f"{server.url}/s3",
    }


def mendeley(server: Server, card: Card, files: Files) -> dict[str, str]:
    dataset, version = card.access.ids["dataset"], card.access.ids["version"]
    base, site = f"/md/public-api/datasets/{dataset}", "https://data.mendeley.com"
    one, places = card.access.ids.get("file"), f"{site}/public-files/datasets/{dataset}/files"
    rows = [
        {
            "filename": name, "id": one or f"{dataset}-{n}", "folder_id": "root",
            "size": len(data), "status": "COMPLETED",
            "content_details": {
                "id": one or f"{dataset}-{n}", "sha256_hash": hashlib.sha256(data).hexdigest(), "size": len(data),
                "content_type": "application/zip",
                "download_url": f"{places}/{one or f'{dataset}-{n}'}/file_downloaded",
            },
        }
        for n, (name, data) in enumerate(sorted(files.items()))
    ]  # fmt: skip
    about = {"id": dataset, "name": card.title, "version": int(version), "doi": {"id": f"10.17632/{dataset}.{version}"}}
    server.route(base, _json(about))
    server.route(f"{base}/snapshot/{version}", _json(about))
    server.route(f"{base}/folders/{version}", _json([]))

    def listing(request: Request) -> Reply:
        start, limit = int(request.query.get("$start", 0)), int(request.query.get("$limit", 1000))
        right = request.query.get("folder_id") == "root" and request.query.get("version") == version
        return _json(rows[start : start + limit] if right else [])

    server.route(f"{base}/files", listing)
    bucket = "prod-dcd-datasets-public-files-eu-west-1.s3.eu-west-1.amazonaws.com"
    for row, (_, data) in zip(rows, sorted(files.items()), strict=True):
        server.route(
            f"/md/public-files/datasets/{dataset}/files/{row['id']}/file_downloaded",
            Reply(302, b"", {"Location": f"https://{bucket}/{row['id']}"}),
        )
        server.file(f"/mds3/{row['id']}", data)
    return {site: f"{server.url}/md", f"https://{bucket}": f"{server.url}/mds3"}


def kaggle(server: Server, card: Card, files: Files) -> dict[str, str]:
    data = zipped(files)
    rows = [{"ref": name, "name": name, "totalBytes": len(one), "url": ""} for name, one in sorted(files.items())]
    if card.access.kind == "kaggle-dataset":
        owner, slug = card.access.ids["kaggle"].split("/")
        server.route(f"/kg/api/v1/datasets/view/{owner}/{slug}", _json(
            {"id": 1, "ref": f"{owner}/{slug}", "title": card.title, "totalBytes": len(data), "isPrivate": False,
             "currentVersionNumber": 1, "versions": [{"versionNumber": 1}]}))  # fmt: skip
        server.route(f"/kg/api/v1/datasets/list/{owner}/{slug}", _json({"datasetFiles": rows, "nextPageToken": ""}))
        start = f"/kg/api/v1/datasets/download/{owner}/{slug}"
    else:
        slug = card.access.ids["competition"]
        server.route(f"/kg/api/v1/competitions/data/list/{slug}", _json({"files": rows, "nextPageToken": ""}))
        start = f"/kg/api/v1/competitions/data/download-all/{slug}"
    bucket = "https://storage.googleapis.com"
    place = f"{bucket}/kaggle-data-sets/{slug}/1/bundle/archive.zip?X-Goog-Expires=259200&X-Goog-Signature=s1gned"
    server.route(start, Reply(302, b"", {"Location": place}))
    server.file(f"/gcs/kaggle-data-sets/{slug}/1/bundle/archive.zip", data)
    return {"https://www.kaggle.com": f"{server.url}/kg", bucket: f"{server.url}/gcs"}


def gdrive(server: Server, card: Card, files: Files) -> dict[str, str]:
    ids = card.access.ids
    known = {file.url.rpartition("id=")[2]: file.name for file in card.files if file.url and "id=" in file.url}
    if "folder" in ids:
        numbers = {f"{n:028d}": name for n, name in enumerate(sorted(files))}
        folders: dict[str, dict[str, str]] = {ids["folder"]: {}}
        places = {"": ids["folder"]}
        for one, name in numbers.items():
            above = ""
            for part in name.split("/")[:-1]:
                inner = f"{above}{part}/"
                if inner not in places:
                    places[inner] = f"F{len(places):027d}"
                    folders[places[inner]] = {}
                    folders[places[above]][f"https://drive.google.com/drive/folders/{places[inner]}"] = part
                above = inner
            link = f"https://drive.google.com/file/d/{one}/view?usp=drive_web"
            folders[places[above]][link] = name.rpartition("/")[2]

        def page(request: Request) -> Reply:
            entries = "".join(
                f'<div class="flip-entry" id="entry-{n}"><div class="flip-entry-info"><a href="{link}" target="_blank">'
                f'<div class="flip-entry-title">{name}</div></a></div></div>'
                for n, (link, name) in enumerate(folders[request.query["id"]].items())
            )
            text = f'<!DOCTYPE html><html><head><title>D</title></head><body><div class="flip-entries">{entries}</div>'
            return Reply(200, text.encode(), {"Content-Type": "text/html"})

        server.route("/gd/embeddedfolderview", page)
    elif known:
        numbers = {one: name for one, name in known.items() if name in files}
    else:
        one = next(ids[key] for key in ("file", "drive_file") if key in ids)
        numbers = {one: next(iter(files))}

    def asked(request: Request) -> Reply:
        one = request.query["id"]
        place = f"https://drive.usercontent.google.com/download?id={one}&export=download"
        return Reply(303, b"", {"Location": place}) if one in numbers else Reply(404, b"<html>")

    def given(request: Request) -> Reply:
        name = numbers[request.query["id"]]
        data = files[name]
        if len(data) > 2000 and request.query.get("confirm") != "t":  # too large for its virus scan, at this scale
            form = (
                "<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>"
                f'<form id="download-form" action="https://drive.usercontent.google.com/download" method="get">'
                f'<input type="submit" value="Download anyway"/>'
                f'<input type="hidden" name="id" value="{request.query["id"]}">'
                '<input type="hidden" name="export" value="download"><input type="hidden" name="confirm" value="t">'
                '<input type="hidden" name="uuid" value="99b6f2ce-1412"></form></body></html>'
            )
            return Reply(200, form.encode(), {"Content-Type": "text/html; charset=utf-8"})
        local = name.rpartition("/")[2]
        return ranged(
            request,
            data,
            headers={"Content-Disposition": f"attachment; filename=\"{local}\"; filename*=UTF-8''{quote(local)}"},
        )

    server.route("/gd/uc", asked)
    server.route("/gu/download", given)
    return {
        "https://drive.google.com": f"{server.url}/gd",
        "https://drive.usercontent.google.com": f"{server.url}/gu",
    }


def github(server: Server, card: Card, files: Files) -> dict[str, str]:
    repo, sha = card.access.ids["repo"], card.access.ids.get("commit", "0" * 39 + "1")
    name = repo.rpartition("/")[2]
    tree = [
        {"path": path, "mode": "100644", "type": "blob", "sha": blob(data), "size": len(data)}
        for path, data in sorted(files.items())
    ]
    api = f"/gh/repos/{repo}"
    server.route(api, _json({"full_name": repo, "default_branch": "master"}))
    server.route(f"{api}/commits/[^/]+", _json({"sha": sha, "commit": {"tree": {"sha": "t" * 40}}}))
    server.route(f"{api}/git/trees/[^/]+", _json({"sha": "t" * 40, "tree": tree, "truncated": False}))
    data = zipped(files, f"{name}-{sha}/")
    server.route(f"/cl/{repo}/zip/{sha}", Reply(200, data, {"Content-Type": "application/zip"}, chunked=True))
    server.route(f"/cl/{repo}/zip/refs/.*", Reply(404, b""))
    return {"https://api.github.com": f"{server.url}/gh", "https://codeload.github.com": f"{server.url}/cl"}


def girder(server: Server, card: Card, files: Files) -> dict[str, str]:
    ids = card.access.ids
    data = zipped(files, described=True)
    path = urlsplit(ids["girder_api"]).path
    headers = {"Content-Type": "application/zip", "Content-Disposition": 'attachment; filename="CAMUS.zip"'}
    server.route(f"/gi{path}/collection/{ids['collection']}/download", Reply(200, data, headers, chunked=True))
    about = {"_id": ids["collection"], "_modelType": "collection", "name": "CAMUS", "size": len(data), "public": True}
    server.route(f"/gi{path}/collection/{ids['collection']}", _json(about))
    server.route(f"/gi{path}/system/version", _json({"release": "3.1.0"}))
    return {f"https://{urlsplit(ids['girder_api']).netloc}": f"{server.url}/gi"}


def eprints(server: Server, card: Card, files: Files) -> dict[str, str]:
    number = card.access.ids["eprint"]
    site = f"https://{urlsplit(card.access.url).netloc}"
    documents = [
        {
            "docid": n, "pos": n, "main": name, "format": "archive", "security": "public", "license": "cc_by_4",
            "uri": f"{site}/id/document/{n}",
            "files": [{
                "fileid": n, "filename": name, "filesize": len(data), "mime_type": "application/zip",
                "hash": _md5(data), "hash_type": "MD5", "uri": f"{site}/id/file/{n}",
            }],
        }
        for n, (name, data) in enumerate(sorted(files.items()), start=1)
    ]  # fmt: skip
    about = {"eprintid": int(number), "title": card.title, "eprint_status": "archive", "documents": documents}
    server.route(f"/ep/cgi/export/eprint/{number}/JSON/[^/]+", _json(about))
    for document in documents:
        server.file(f"/ep/{number}/{document['pos']}/{document['main']}", files[str(document["main"])])
    return {site: f"{server.url}/ep"}


def huggingface(server: Server, card: Card, files: Files) -> dict[str, str]:
    repo, sha, site = card.access.ids["huggingface"], "5" * 40, "https://huggingface.co"
    rows: list[dict[str, Any]] = [{"type": "directory", "oid": "d" * 40, "size": 0, "path": "data"}]
    rows.append({"type": "file", "oid": blob(b"*"), "size": 1, "path": ".gitattributes"})
    for name, data in sorted(files.items()):
        row: dict[str, Any] = {"type": "file", "oid": blob(data), "size": len(data), "path": name}
        if len(data) > 1000:
            row["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
        rows.append(row)
    server.route(f"/hf/api/datasets/{repo}/revision/main", _json({"id": repo, "sha": sha, "private": False}))

    def tree(request: Request) -> Reply:
        at = int(request.query.get("cursor", 0))
        more = at + 2 < len(rows)
        link = f'<{site}/api/datasets/{repo}/tree/{sha}?recursive=1&cursor={at + 2}>; rel="next"'
        return replace(_json(rows[at : at + 2]), headers={"Link": link} if more else {})

    server.route(f"/hf/api/datasets/{repo}/tree/{sha}", tree)
    for name, data in files.items():
        place = f"https://cas-bridge.xethub.hf.co/x/{quote(name)}?X-Amz-Signature=s1gned"
        server.route(f"/hf/datasets/{repo}/resolve/{sha}/{re.escape(name)}", Reply(302, b"", {"Location": place}))
        server.file(f"/xet/x/{name}", data)
    return {site: f"{server.url}/hf", "https://cas-bridge.xethub.hf.co": f"{server.url}/xet"}


def azure(server: Server, card: Card, files: Files) -> dict[str, str]:
    names = sorted(files)

    def container(request: Request) -> Reply:
        if request.query.get("sig") != "s1gned":
            return Reply(403, b"\xef\xbb\xbf<?xml version='1.0'?><Error><Code>AuthenticationFailed</Code></Error>")
        at = int(request.query.get("marker", 0))
        blobs = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Content-Length>{len(files[name])}</Content-Length><Content-MD5>"
            f"{base64.b64encode(hashlib.md5(files[name]).digest()).decode()}</Content-MD5></Properties></Blob>"
            for name in names[at : at + 1]
        )
        following = str(at + 1) if at + 1 < len(names) else ""
        page = (
            '<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="c"><Blobs>'
            f"{blobs}</Blobs><NextMarker>{following}</NextMarker></EnumerationResults>"
        )
        return Reply(200, b"\xef\xbb\xbf" + page.encode(), {"Content-Type": "application/xml"})

    server.route("/az/c", container)
    for name, data in files.items():
        server.route(
            re.escape(f"/az/c/{name}"),
            lambda request, data=data: (
                ranged(request, data) if request.query.get("sig") == "s1gned" else Reply(403, b"<Error>")
            ),
        )
    return {"https://aimi.blob.core.windows.net": f"{server.url}/az"}


def http(server: Server, card: Card, files: Files) -> dict[str, str]:
    mirrors = {}
    for file in card.files:
        if file.url and file.name in files:
            parts = urlsplit(file.url)
            server.file(f"/h/{parts.netloc}{parts.path}", files[file.name])
            mirrors[f"{parts.scheme}://{parts.netloc}"] = f"{server.url}/h/{parts.netloc}"
    return mirrors


_SITES = {
    "zenodo": zenodo, "figshare": figshare, "mendeley": mendeley, "kaggle-dataset": kaggle,
    "kaggle-competition": kaggle, "gdrive": gdrive, "github": github, "girder": girder, "eprints": eprints,
    "huggingface": huggingface, "azure": azure, "http": http, "tcia": http, "frdr": http, "form": http,
}  # fmt: skip


def offered(card: Card, files: Files) -> Files:
    """Those of the files that the site has: the one on Drive, where the source has other forms elsewhere."""
    if card.access.kind != "gdrive" or "folder" in card.access.ids:
        return files
    known = {file.name for file in card.files}
    on_drive = {path.rpartition("/")[2]: data for path, data in files.items() if path.rpartition("/")[2] in known}
    addressed = {file.name for file in card.files if file.url}
    return {name: data for name, data in on_drive.items() if name in addressed} or dict([next(iter(on_drive.items()))])


def uploaded(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, as the publisher uploaded it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
