"""Source `text-files`: lyrics that you have as files of your own."""

from pathlib import Path

from pydantic import Field

from segue.plugin import Absent, Answer, Found, Http, Request, Source, SourceParams, Terms, Transient


class TextFilesParams(SourceParams):
    """Parameters of the source `text-files`."""

    folder: Path = Field(description="holds the files")


class TextFiles(Source):
    """Lyrics from files named `Artist - Title.txt` in a folder."""

    name = "text-files"
    page = "docs/plugins.md"
    fields = {"lyrics": "track"}
    terms = Terms(train_allowed=None, licence="that of your files", page="docs/plugins.md")
    Params = TextFilesParams

    def collect(self, request: Request, http: Http) -> Answer:
        path = self.params.folder / f"{', '.join(request.artists)} - {request.title}.txt".replace("/", "_")
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return Absent()
        except (OSError, UnicodeError) as error:
            raise Transient(f"{path} cannot be read: {error}") from None
        return Found({"lyrics": text}, payload=text) if text.strip() else Absent("empty file")
