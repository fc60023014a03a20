"""Command `segue playlists`, which fetches playlists from services as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.commands.application import Debug

app = typer.Typer(no_args_is_help=True, help="Fetch playlists from services as files that recipes can read.")


@app.callback()
def _() -> None:
    """Fetch playlists from services as files that recipes can read."""


@app.command()
def listenbrainz(
    out: Annotated[
        Path,
        typer.Option(help="Folder for the files, one per playlist. Existing files are kept.", show_default=False),
    ],
    user: Annotated[list[str], typer.Option(help="A user whose public playlists are fetched.")] = [],  # noqa: B006
    playlist: Annotated[list[str], typer.Option(metavar="MBID", help="The id of a playlist.")] = [],  # noqa: B006
    made_for: Annotated[
        bool, typer.Option("--made-for", help="Fetch playlists created for the users instead of by them.")
    ] = False,
    contact: Annotated[
        str, typer.Option(envvar="SEGUE_CONTACT", help="E-mail address or page that the service can contact.")
    ] = "",
    url: Annotated[str, typer.Option(help="The service's address.")] = "https://api.listenbrainz.org",
    debug: Debug = False,
) -> None:
    """Fetch public playlists from ListenBrainz as JSPF with MusicBrainz ids."""
    from itertools import chain

    from collectors.engine.retrying_client import open_http
    from collectors.jspf_files import path_of, save
    from collectors.sources.listenbrainz import HOST, ListenBrainz, ListenBrainzParams
    from toolkit.errors import InputError

    if not user and not playlist:
        raise InputError("fetching requires a user or a playlist: pass --user NAME or --playlist MBID")
    params = ListenBrainzParams(url=url)
    with open_http(HOST, params, contact) as http:
        service = ListenBrainz(http, params, have=lambda key: path_of(out, key).exists())
        written = save(chain(service.of_ids(playlist), service.of_users(user, made_for=made_for)), out)
    print(f"{out}: {written:,} playlists written, which a recipe reads with `data: {{reader: jspf, path: {out}}}`")


@app.command()
def spotify(
    out: Annotated[
        Path,
        typer.Option(help="Folder for the files, one per playlist. Existing files are kept.", show_default=False),
    ],
    contact: Annotated[
        str, typer.Option(envvar="SEGUE_CONTACT", help="E-mail address or page that the service can contact.")
    ] = "",
    url: Annotated[str, typer.Option(help="The service's address.")] = "https://api.spotify.com",
    accounts_url: Annotated[
        str, typer.Option(help="Address of the service that issues tokens.")
    ] = "https://accounts.spotify.com",
    debug: Debug = False,
) -> None:
    """Fetch the Spotify playlists of the user of SPOTIFY_REFRESH_TOKEN as JSPF.

    Spotify's terms do not allow training models on them.
    """
    from collectors.engine.retrying_client import open_http
    from collectors.jspf_files import path_of, save
    from collectors.keys import Keys, Scrubber
    from collectors.sources.clients.spotify_api import REFRESH
    from collectors.sources.spotify import Spotify
    from collectors.sources.spotify_playlists import playlists

    params = Spotify.Params(api_url=url, accounts_url=accounts_url)
    secrets = Keys().of("spotify", (*Spotify.keys, REFRESH))
    with (
        Scrubber(secrets.values()).logs(),
        open_http(Spotify.hosts[0], params, contact, source=Spotify, secrets=secrets) as http,
    ):
        written = save(playlists(secrets, http, params, have=lambda key: path_of(out, key).exists()), out)
    print(f"{out}: {written:,} playlists written, which a recipe reads with `data: {{reader: jspf, path: {out}}}`")
