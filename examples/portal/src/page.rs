//! The page of maps.

use askama::Template;
use axum::{
    extract::State,
    http::{
        StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use futures_util::future::join_all;
use tower_sessions::Session;

use crate::{
    describe::{Picture, pictures},
    portal::Shared,
    session::{SignedIn, failed, form_token},
    sign_in::show,
};

#[derive(Template)]
#[template(path = "maps.html")]
struct MapsPage<'a> {
    name: &'a str,
    form_token: &'a str,
    sites: Vec<SiteSection<'a>>,
}

/// The maps of one site.
struct SiteSection<'a> {
    root: &'a str,
    host: String,
    figures: Vec<Figure>,
}

struct Figure {
    title: String,
    pictures: Vec<Picture>,
    /// In place of pictures.
    problem: &'static str,
}

/// `GET /`
pub(crate) async fn maps(
    State(shared): State<Shared>,
    SignedIn(person): SignedIn,
    session: Session,
) -> Response {
    let form_token = match form_token(&session).await {
        Ok(token) => token,
        Err(error) => return failed(error),
    };
    let maps = shared.maps.iter().enumerate();
    let asked = maps.map(|(index, map)| pictures(&shared.gis, &person, index, map));
    let mut sites: Vec<SiteSection<'_>> = Vec::new();
    for (map, answer) in shared.maps.iter().zip(join_all(asked).await) {
        let (pictures, problem) = match answer {
            Ok(pictures) => (pictures, ""),
            Err(problem) => (Vec::new(), problem),
        };
        let figure = Figure {
            title: map.title(),
            pictures,
            problem,
        };
        match sites.iter_mut().find(|site| site.root == map.root()) {
            Some(site) => site.figures.push(figure),
            None => sites.push(SiteSection {
                root: map.root(),
                host: map.host(),
                figures: vec![figure],
            }),
        }
    }
    // A password that ArcGIS refused meanwhile has ended the session.
    if shared.people.get(&person.identity).is_none() {
        return axum::response::Redirect::to("/sign-in").into_response();
    }
    let page = MapsPage {
        name: &person.name,
        form_token: &form_token,
        sites,
    };
    show(StatusCode::OK, &page)
}

/// `GET /style.css`
pub(crate) async fn style() -> impl IntoResponse {
    (
        [
            (CONTENT_TYPE, "text/css; charset=utf-8"),
            (CACHE_CONTROL, "max-age=3600"),
        ],
        include_str!("../static/style.css"),
    )
}
