"""`segue playlists`: fetches playlists of services as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segue.commands.application import Debug

app = typer.Typer(no_args_is_help=True, help="Fetch playlists of services as files that recipes read.")


@app.callback()
def _() -> None:
    """Fetch playlists of services as files that recipes read."""


@app.command()
def listenbrainz(
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the files, one for each playlist. Existing ones are not fetched again.", show_default=False
        ),
    ],
    user: Annotated[list[str], typer.Option(help="A user, all of whose public playlists are fetched.")] = [],  # noqa: B006
    playlist: Annotated[list[str], typer.Option(metavar="MBID", help="A playlist by its id.")] = [],  # noqa: B006
    made_for: Annotated[
        bool, typer.Option("--made-for", help="Playlists that were made for the users instead of by them.")
    ] = False,
    contact: Annotated[
        str, typer.Option(envvar="SEGUE_CONTACT", help="E-mail address or page for the service to write to.")
    ] = "",
    url: Annotated[str, typer.Option(help="The service's address.")] = "https://api.listenbrainz.org",
    debug: Debug = False,
) -> None:
    """Public playlists of ListenBrainz, as JSPF with MusicBrainz ids."""
    from itertools import chain

    from collectors.engine.retrying_client import open_http
    from collectors.jspf_files import path_of, save
    from collectors.sources.listenbrainz import HOST, ListenBrainz, ListenBrainzParams
    from toolkit.errors import InputError

    if not user and not playlist:
        raise InputError("nothing to fetch: give --user NAME or --playlist MBID")
    params = ListenBrainzParams(url=url)
    with open_http(HOST, params, contact) as http:
        service = ListenBrainz(http, params, have=lambda key: path_of(out, key).exists())
        written = save(chain(service.of_ids(playlist), service.of_users(user, made_for=made_for)), out)
    print(f"{out}: {written:,} playlists written; a recipe reads them with `data: {{reader: jspf, path: {out}}}`")


@app.command()
def spotify(
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the files, one for each playlist. Existing ones are not fetched again.", show_default=False
        ),
    ],
    contact: Annotated[
        str, typer.Option(envvar="SEGUE_CONTACT", help="E-mail address or page for the service to write to.")
    ] = "",
    url: Annotated[str, typer.Option(help="The service's address.")] = "https://api.spotify.com",
    accounts_url: Annotated[
        str, typer.Option(help="Address of the service that issues tokens.")
    ] = "https://accounts.spotify.com",
    debug: Debug = False,
) -> None:
    """Playlists that the user of SPOTIFY_REFRESH_TOKEN owns on Spotify, as JSPF.

    The terms forbid to train models on them.
    """
    from collectors.engine.retrying_client import open_http
    from collectors.jspf_files import path_of, save
    from collectors.keys import Keys, Scrubber
    from collectors.sources.clients.spotify_api import REFRESH
    from collectors.sources.spotify import Spotify
    from collectors.sources.spotify_playlists import playlists

    params = Spotify.Params(api_url=url, accounts_url=accounts_url)
    secrets = Keys().of("spotify", (*Spotify.keys, REFRESH))
    with Scrubber(secrets.values()).logs(), open_http(Spotify.hosts[0], params, contact) as http:
        written = save(playlists(secrets, http, params, have=lambda key: path_of(out, key).exists()), out)
    print(f"{out}: {written:,} playlists written; a recipe reads them with `data: {{reader: jspf, path: {out}}}`")
