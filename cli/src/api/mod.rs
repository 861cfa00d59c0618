//! The master's REST API, as the commands use it.

use std::{env, fs, path::PathBuf, time::Duration};

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// Where the master is, and who asks.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Access {
    /// Where the master listens; DUE_MASTER, or else http://127.0.0.1:7080.
    #[arg(long, global = true, value_name = "URL")]
    master: Option<String>,
    /// A file with the token, which everybody who sees the command line would see too; without it DUE_TOKEN.
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// How long an answer may take: a master waits 2 s for each instance.
const LIMIT: Duration = Duration::from_secs(15);
/// How long a stream may last; a master ends it earlier.
const STREAM: Duration = Duration::from_secs(2 * 3600);
/// Most bytes of an answer.
const LARGEST: usize = 64 << 20;

/// One master.
pub(crate) struct Api {
    client: Client,
    base: String,
    token: String,
}

/// An answer, and the revision of what it shows.
pub(crate) struct Answer {
    pub(crate) body: Value,
    pub(crate) etag: Option<String>,
}

/// A query: names and values.
pub(crate) type Query = Vec<(&'static str, String)>;

/// What must be true of what is changed: a header and its value.
pub(crate) type If = (header::HeaderName, String);

/// Adds what was given.
pub(crate) fn given<T: ToString>(query: &mut Query, name: &'static str, value: &Option<T>) {
    query.extend(value.as_ref().map(|value| (name, value.to_string())));
}

/// A word as a part of a path.
pub(crate) fn part(word: &str) -> String {
    let keeps = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    word.bytes().map(|b| if keeps(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

impl Api {
    pub(crate) fn new(access: &Access) -> Outcome<Self> {
        let base = access.master.clone().or_else(|| env::var("DUE_MASTER").ok());
        let base = base.unwrap_or_else(|| "http://127.0.0.1:7080".to_owned());
        let token = match &access.token_file {
            Some(path) => fs::read_to_string(path)
                .map_err(|e| Failure::new(format!("--token-file {}: {e}", path.display())))?
                .trim()
                .to_owned(),
            None => env::var("DUE_TOKEN").map_err(|_| {
                Failure::new("no token: set DUE_TOKEN or --token-file; a master prints one at its first start")
            })?,
        };
        let client = Client::builder().timeout(LIMIT).no_proxy().build();
        let client = client.map_err(|e| Failure::new(format!("no HTTP client: {e}")))?;
        Ok(Self { client, base: format!("{}/api/v1", base.trim_end_matches('/')), token })
    }

    pub(crate) async fn get(&self, path: &str, query: &Query) -> Outcome<Answer> {
        self.answer(self.request(Method::GET, path).query(query)).await
    }

    /// Begins to read a stream of events behind one of them; nothing if the master cannot be reached now.
    pub(crate) async fn follow(&self, path: &str, query: &Query, last: &str) -> Outcome<Option<Response>> {
        let request = self.request(Method::GET, path).query(query).header("Last-Event-ID", last);
        let Ok(answer) = request.timeout(STREAM).send().await else { return Ok(None) };
        let status = answer.status();
        if status.is_success() {
            return Ok(Some(answer));
        }
        let body = serde_json::from_slice(&bytes_of(answer).await?).unwrap_or(Value::Null);
        Err(problem(status, &body))
    }

    /// Asks for a change. The key keeps it from being made twice, however often the request arrives.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        query: &Query,
        body: Option<&Value>,
    ) -> Outcome<Answer> {
        self.answer(self.changing(method, path, query, body)).await
    }

    /// The same, unless what is changed is not as it was seen any more.
    pub(crate) async fn send_if(
        &self,
        method: Method,
        path: &str,
        (query, condition): (&Query, If),
        body: &Value,
    ) -> Outcome<Answer> {
        let request = self.changing(method, path, query, Some(body));
        self.answer(request.header(condition.0, condition.1)).await
    }

    fn changing(&self, method: Method, path: &str, query: &Query, body: Option<&Value>) -> RequestBuilder {
        let key = format!("{:032x}", rand::random::<u128>());
        let request = self.request(method, path).query(query).header("Idempotency-Key", key);
        match body {
            Some(body) => request.json(body),
            None => request,
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.token)
    }

    async fn answer(&self, request: RequestBuilder) -> Outcome<Answer> {
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        let (status, etag) = (answer.status(), header_of(&answer, header::ETAG));
        let bytes = bytes_of(answer).await?;
        let body: Value = match bytes.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&bytes)
                .map_err(|_| Failure::new(format!("{} answered {status} and no JSON: is it a master?", self.base)))?,
        };
        if status.is_success() {
            return Ok(Answer { body, etag });
        }
        Err(problem(status, &body))
    }

    fn unreachable(&self, e: &reqwest::Error) -> Failure {
        let why = match (e.is_timeout(), e.is_connect(), e.is_builder()) {
            (true, ..) => "it does not answer within 15 s".to_owned(),
            (_, true, _) => "nobody listens there; is the master running, and is --master its address?".to_owned(),
            (_, _, true) => "that is no URL; write http://HOST:PORT".to_owned(),
            _ => e.to_string(),
        };
        Failure::new(format!("the master at {}: {why}", self.base))
    }
}

fn header_of(answer: &Response, name: header::HeaderName) -> Option<String> {
    answer.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

async fn bytes_of(mut answer: Response) -> Outcome<Vec<u8>> {
    let broken = |e: reqwest::Error| Failure::new(format!("the answer broke off: {e}"));
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LARGEST {
            return Err(Failure::new("the answer is larger than 64 MiB: ask for fewer with --limit"));
        }
    }
    Ok(bytes)
}

/// What a master says it cannot do, with what it says beside it.
fn problem(status: StatusCode, body: &Value) -> Failure {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let code = text("code").unwrap_or(status.canonical_reason().unwrap_or("error"));
    let mut said = format!("{code}: {}", text("detail").unwrap_or("the master says no more"));
    let told = ["type", "code", "status", "title", "detail", "fields"];
    for (name, value) in body.as_object().into_iter().flatten().filter(|(name, _)| !told.contains(&name.as_str())) {
        said += &format!(" ({name} {})", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    Failure::new(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_stay_one_part_of_a_path() {
        assert_eq!(part("gate-1"), "gate-1");
        assert_eq!(part("../a b/\"7\"ü"), "..%2Fa%20b%2F%227%22%C3%BC");
    }

    #[test]
    fn a_problem_is_told_with_all_that_belongs_to_it() {
        let body = json!({"type": "urn:due:permission_denied", "code": "permission_denied", "status": 403,
            "title": "Forbidden", "detail": "the token may not", "need": "admin"});
        assert_eq!(
            problem(StatusCode::FORBIDDEN, &body),
            Failure::new("permission_denied: the token may not (need admin)")
        );
        assert_eq!(
            problem(StatusCode::BAD_GATEWAY, &Value::Null),
            Failure::new("Bad Gateway: the master says no more")
        );
    }
}
