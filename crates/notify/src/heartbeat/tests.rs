use super::*;
use reach::script::{answer, server};

const NOW: [Duration; 3] = [Duration::from_millis(1); 3];

/// How often a server that answers so is asked, and what comes of it.
async fn beaten(statuses: &[u16]) -> (usize, Result<(), HttpError>) {
    let answers = statuses.iter().map(|status| answer(*status, "", "")).collect();
    let (port, mut asked) = server(answers).await;
    let address = format!("http://127.0.0.1:{port}/ping/s3cr3t");
    let result = beat_with(&address, Duration::from_secs(20), &NOW).await;
    let mut count = 0;
    while let Ok(request) = asked.try_recv() {
        assert!(request.head.starts_with("GET /ping/s3cr3t HTTP/1.1"), "{request:?}");
        count += 1;
    }
    (count, result)
}

#[tokio::test]
async fn it_is_asked_again_where_that_may_help_and_not_for_ever() {
    assert_eq!(beaten(&[200]).await, (1, Ok(())));
    assert_eq!(beaten(&[500, 503, 200]).await, (3, Ok(())));
    let (count, result) = beaten(&[500]).await;
    assert_eq!(count, 4);
    assert_eq!(result.unwrap_err().to_string(), "the server answered with status 500");
    let (count, result) = beaten(&[404]).await;
    assert_eq!(count, 1);
    assert_eq!(result.unwrap_err().to_string(), "the server answered with status 404");
}

#[tokio::test]
async fn one_that_never_answers_costs_its_time_and_no_more() {
    let (port, _asked) = server(vec!["hangs".to_owned()]).await;
    let address = format!("http://127.0.0.1:{port}/s3cr3t");
    let limit = Duration::from_millis(50);
    let error = beat_with(&address, limit, &NOW).await.unwrap_err();
    assert_eq!(error, HttpError::Late(limit));
}
