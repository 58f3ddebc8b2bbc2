"""Signs a file: manifest and signature are written into a copy of it, which is read back."""

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from media_agent.errors import ConfigurationError, MediaAgentError, StorageError
from media_agent.provenance.c2pa.credentials import Credentials, check_installed
from media_agent.provenance.c2pa.manifest import GENERATED, Ingredient, name_ingredient
from media_agent.provenance.c2pa.media_types import UNKNOWN, find_media_type
from media_agent.storage.files import ordinary_file, storage_errors, write_aside

if TYPE_CHECKING:
    import c2pa

_LOGGER = logging.getLogger(__name__)
_SETTINGS = {
    "version": 1,
    "builder": {"thumbnail": {"enabled": False}},  # the inputs stay with whoever has them
    "core": {"backing_store_memory_threshold_in_mb": 16},  # more goes to a temporary file
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},  # no address is followed
}
_SIGNED = ("video/mp4", "video/quicktime")
_IMAGE = bytes.fromhex(  # a PNG of one pixel, to try a signature on
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000"
    "000a49444154789c636000000002000148afa4710000000049454e44ae426082"
)


@dataclass(frozen=True, slots=True)
class Signed:
    """What was written into a signed file."""

    ingredients: int
    kept_manifests: int
    timestamped: bool


def sign_file(
    source: Path,
    target: Path,
    manifest: dict[str, Any],
    ingredients: Sequence[Ingredient],
    credentials: Credentials,
    *,
    timestamp_url: str | None = None,
) -> Signed:
    """Write a signed copy of an MP4; `target` is there as a whole, or not at all.

    Raises:
        ConfigurationError: certificate, key or callback do not sign.
        StorageError: the file cannot be signed, or not be written.
    """
    with (
        _c2pa_errors(source),
        storage_errors(str(target)),
        write_aside(target) as aside,
        _context() as context,
    ):
        builder = _open_builder(manifest, context)
        for number, ingredient in enumerate(ingredients):
            _add(builder, ingredient, name_ingredient(number))
        with source.open("rb") as reader, _open_new(aside) as writer:
            kind = _check_kind(reader, source)
            written = _sign(builder, kind, reader, writer, credentials, timestamp_url, str(source))
        return _read_written(written)


def try_signing(credentials: Credentials, timestamp_url: str | None = None) -> None:
    """Sign an image of one pixel, to learn now whether a video could be signed.

    Raises:
        ConfigurationError: it could not, and why.
    """
    created = {"actions": [{"action": "c2pa.created", "digitalSourceType": GENERATED}]}
    manifest = {"assertions": [{"label": "c2pa.actions.v2", "data": created}]}
    with _context() as context:
        builder = _open_builder(manifest, context)
        source = io.BytesIO(_IMAGE)
        _sign(builder, "image/png", source, io.BytesIO(), credentials, timestamp_url, "a trial")


def load_c2pa() -> Any:
    """Return c2pa, which is loaded when the first file is signed or read.

    Raises:
        ConfigurationError: it cannot be loaded.
    """
    check_installed()
    try:
        import c2pa
    except (ImportError, OSError) as error:  # its library may be that of another machine
        said = f"c2pa cannot be loaded: {type(error).__name__}: {error}"
        raise ConfigurationError(said, hint="install it again") from None
    return c2pa


def _context() -> "c2pa.Context":
    return load_c2pa().Context.from_dict(_SETTINGS)


def _open_builder(manifest: dict[str, Any], context: "c2pa.Context") -> "c2pa.Builder":
    text = json.dumps(manifest, ensure_ascii=False)
    text = text.encode(errors="replace").decode()  # backends may say half a letter
    return load_c2pa().Builder(text, context=context)


@contextlib.contextmanager
def _c2pa_errors(source: Path) -> Iterator[None]:
    """Turn what c2pa says of a manifest, such as that it is too large, into an error of ours."""
    try:
        yield
    except load_c2pa().C2paError as error:
        raise StorageError(f"{source} cannot be signed: {error}") from error


class _NewFile(io.BufferedRandom):
    """A file that keeps why it could not be written: c2pa says only that it could not."""

    trouble: OSError | None = None

    def write(self, data: Any, /) -> int:
        with self._kept():
            return super().write(data)

    def seek(self, place: int, whence: int = 0, /) -> int:
        with self._kept():  # what is not written yet is
            return super().seek(place, whence)

    def flush(self) -> None:
        with self._kept():
            super().flush()

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.trouble = self.trouble or error
            raise


@contextlib.contextmanager
def _open_new(path: Path) -> Iterator[_NewFile]:
    """Open a new file.

    Raises:
        OSError: it could not be written, whatever else was said of it.
    """
    with _NewFile(io.FileIO(path, "w+")) as file:
        try:
            yield file
        except StorageError:
            if file.trouble is not None:
                raise file.trouble from None
            raise


def _check_kind(file: BinaryIO, path: Path) -> str:
    """Return the media type of a video that a manifest can be written into.

    Raises:
        StorageError: it is another kind of file.
    """
    kind = find_media_type(file)
    if kind not in _SIGNED:
        raise StorageError(f"{path} is no MP4, and only an MP4 can be signed")
    return kind


def _add(builder: "c2pa.Builder", ingredient: Ingredient, label: str) -> None:
    """Add an ingredient with its manifest; what cannot be read is listed without."""
    facts = {"title": ingredient.title, "relationship": ingredient.relationship, "label": label}
    content, C2paError = ingredient.content, load_c2pa().C2paError
    try:
        if isinstance(content, Path):
            with ordinary_file(content) as file:
                builder.add_ingredient(facts, find_media_type(file), file)
            return
        if content is not None:
            with io.BytesIO(content) as stream:
                builder.add_ingredient(facts, find_media_type(stream), stream)
            return
    except (OSError, C2paError):
        _LOGGER.debug("%s is listed without its manifest", ingredient.title, exc_info=True)
    builder.add_ingredient(facts, UNKNOWN, io.BytesIO())


def _sign(
    builder: "c2pa.Builder",
    media_type: str,
    reader: Any,
    writer: Any,
    credentials: Credentials,
    timestamp_url: str | None,
    what: str,
) -> bytes:
    """Sign and return the manifest; what the signer says is kept, c2pa would only log it."""
    failures: list[BaseException] = []
    signer = _open_signer(_catching(credentials.sign, failures), credentials, timestamp_url)
    try:
        manifest: bytes = builder.sign(signer, media_type, reader, writer)
    except load_c2pa().C2paError as error:
        if failures:
            raise _failed(failures[0], credentials) from None
        said = str(error)
        if said.startswith("Signature: ") or "time stamp" in said.lower():
            who = f"{credentials.name} does not sign"
            raise ConfigurationError(
                f"{'the authority gave none' if timestamp_url else who}: "
                f"{said.removeprefix('Signature: ')}",
                hint="docs/how-to/sign-your-videos.md says what C2PA asks of a certificate",
            ) from None
        raise StorageError(f"{what} cannot be signed: {said}") from error
    return manifest


def _open_signer(
    sign: Callable[[bytes], bytes], credentials: Credentials, timestamp_url: str | None
) -> "c2pa.Signer":
    c2pa = load_c2pa()
    algorithm = c2pa.C2paSigningAlg[credentials.algorithm.upper()]
    try:
        return c2pa.Signer.from_callback(
            sign, algorithm, credentials.chain.decode("ascii"), timestamp_url
        )
    except c2pa.C2paError as error:
        raise ConfigurationError(f"{credentials.name} does not sign: {error}") from None


def _catching(
    sign: Callable[[bytes], bytes], failures: list[BaseException]
) -> Callable[[bytes], bytes]:
    def call(data: bytes) -> bytes:
        try:
            return sign(data)
        except BaseException as error:  # noqa: BLE001  # else its words are written to stderr
            failures.append(error)
            return b""

    return call


def _failed(error: BaseException, credentials: Credentials) -> MediaAgentError:
    """Return the error of a signer by its class: what it says may have a key in it."""
    _LOGGER.debug("the signer of %s failed: %s", credentials.name, type(error).__name__)
    return ConfigurationError(
        f"provenance.callback failed: {type(error).__name__}",
        hint="see that its service can be reached and gives its signature as raw bytes or DER",
    )


def _read_written(manifest: bytes) -> Signed:
    c2pa = load_c2pa()
    with (
        _context() as context,
        io.BytesIO(manifest) as stream,
        c2pa.Reader("application/c2pa", stream, context=context) as reader,
    ):
        return _count(reader)


def read_signed(path: Path) -> Signed | None:
    """Return what was written into a file that was signed before; None: it is not whole."""
    c2pa = load_c2pa()
    try:
        with _context() as context, c2pa.Reader(str(path), context=context) as reader:
            if reader.get_validation_state() == "Invalid":
                return None
            return _count(reader)
    except (OSError, c2pa.C2paError):
        return None


def _count(reader: "c2pa.Reader") -> Signed:
    active = reader.get_active_manifest() or {}
    listed = active.get("ingredients", ())
    return Signed(
        ingredients=len(listed),
        kept_manifests=sum("active_manifest" in each for each in listed),
        timestamped=active.get("signature_info", {}).get("time") is not None,
    )
