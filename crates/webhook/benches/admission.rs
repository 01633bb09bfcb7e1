//! What a review costs the webhook alone: its routes, called in this process, with reviews as the API
//! server sends them. No test: it prints numbers.
//!
//! ```text
//! cargo bench -p tektite-webhook --bench admission [-- --quick]
//! ```

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::{
    hint::black_box,
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
};
use serde_json::{Value, json};
use tektite_api::{TaskRun, decode};
use tektite_core::{config::Config, defaults, validate};
use tektite_webhook::{
    admit,
    limits::Limits,
    review::{Review, Verdict},
    router,
    state::State,
};
use tokio::runtime::Builder;
use tower::ServiceExt as _;

const PATHS: [&str; 2] = ["/defaulting", "/resource-validation"];

/// What a large object is of, and how it is made.
type Large = (&'static str, fn() -> Value);

const LARGE: [Large; 3] = [
    ("a large script", || {
        let mut run = task_run(1);
        run["spec"]["taskSpec"]["steps"][0]["script"] = json!("echo one more line\n".repeat(26_000));
        run
    }),
    ("many steps", || task_run(400)),
    ("many steps of nothing but an image", || {
        let mut run = task_run(1);
        run["spec"]["taskSpec"]["steps"] = Value::Array(vec![json!({"image": "i"}); 3000]);
        run
    }),
];

fn main() {
    // Cargo adds `--bench`.
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--peak") {
        let number = |offset: usize| arguments[at + offset].parse::<usize>().unwrap();
        peak(LARGE[number(1)].0, PATHS[number(2)]);
        return;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    // Each object is two reviews.
    let soak = if quick { 5_000 } else { 50_000 };
    let (ten, forty) = (reviews(10), reviews(40));
    println!(
        "reviews of {} bytes (10 steps) and {} bytes (40 steps)\n",
        ten[0].len(),
        forty[0].len()
    );
    println!("{:<48} {:>12} {:>12}", "", "10 steps", "40 steps");
    for (path, index) in [(PATHS[0], 0), (PATHS[1], 1)] {
        let [ten, forty] = [&ten, &forty].map(|reviews| throughput(path, &reviews[index]));
        println!(
            "{:<48} {ten:>12.0} {forty:>12.0}",
            format!("{path}, reviews/s on one core")
        );
    }
    let [ten, forty] = [&ten, &forty].map(|reviews| paced(reviews, if quick { 2 } else { 10 }));
    for (name, index) in [("p50", 0), ("p99", 1)] {
        println!(
            "{:<48} {:>9.3} ms {:>9.3} ms",
            format!("{name} at 500 reviews/s, one worker"),
            ten[index],
            forty[index]
        );
    }
    println!("\none review of 40 steps, by stage:");
    stages(&reviews(40));
    println!("\nmemory, MiB:");
    println!("{:<48} {:>12.1}", "resident at start", resident("VmRSS:"));
    forget_peak();
    flood(&reviews(40), soak);
    println!(
        "{:<48} {:>12.1}",
        format!("resident after {soak} objects of 40 steps, both calls"),
        resident("VmRSS:")
    );
    println!("{:<48} {:>12.1}", "most while it lasted", resident("VmHWM:"));
    for (object, (_, make)) in LARGE.iter().enumerate() {
        for path in 0..PATHS.len() {
            // What an earlier one left would be used again, and not be counted; so would what it takes to
            // make the object.
            let mut child = Command::new(std::env::current_exe().unwrap())
                .args(["--peak".to_owned(), object.to_string(), path.to_string()])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            let body = review(&make());
            child.stdin.take().unwrap().write_all(&body).unwrap();
            child.wait().unwrap();
        }
    }
}

/// The TaskRun of the benchmarks, with `steps` steps.
fn task_run(steps: usize) -> Value {
    let yaml = include_str!("../../../tests/bench/task-run.yaml");
    let mut run: Value = tektite_core::yaml::read(yaml).unwrap();
    let list = run.pointer_mut("/spec/taskSpec/steps").unwrap();
    let step = list[0].clone();
    *list = (0..steps)
        .map(|index| {
            let mut step = step.clone();
            step["name"] = json!(format!("step-{index}"));
            step
        })
        .collect();
    run["metadata"]["namespace"] = json!("builds");
    run["metadata"]["managedFields"] = json!([{
        "manager": "kubectl-create", "operation": "Update", "apiVersion": "tekton.dev/v1",
        "time": "2026-01-01T00:00:00Z", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:tekton.dev/pipeline": {}}}, "f:spec": {
            ".": {}, "f:params": {}, "f:podTemplate": {}, "f:taskSpec": {}, "f:workspaces": {}}}}]);
    run
}

fn review(object: &Value) -> Bytes {
    let kind = json!({"group": "tekton.dev", "version": "v1", "kind": "TaskRun"});
    let resource = json!({"group": "tekton.dev", "version": "v1", "resource": "taskruns"});
    let review = json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {
        "uid": "0b5d4c4e-5a6e-4f0e-9d2b-6a1f6c1d2e3f", "kind": kind, "resource": resource,
        "requestKind": kind, "requestResource": resource, "name": "admitted", "namespace": "builds",
        "operation": "CREATE", "userInfo": {"username": "kubernetes-admin",
            "groups": ["kubeadm:cluster-admins", "system:authenticated"]},
        "object": object, "oldObject": null, "dryRun": false,
        "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}}});
    serde_json::to_vec(&review).unwrap().into()
}

/// What the two calls are sent for a TaskRun: as its author wrote it, and with the patch of the first.
fn reviews(steps: usize) -> [Bytes; 2] {
    let mut run = task_run(steps);
    let first = review(&run);
    let read: Review = serde_json::from_slice(&first).unwrap();
    if let Verdict::Allow { patch, .. } = admit::default(&mut read.request.unwrap(), &Config::default()) {
        json_patch::patch(&mut run, &patch.unwrap()).unwrap();
    }
    let second = review(&run);
    let judged: Review = serde_json::from_slice(&second).unwrap();
    let judgement = admit::judge(&mut judged.request.unwrap(), &Config::default());
    assert!(
        judgement.errors.is_empty() && judgement.object.is_some(),
        "{judgement:?}"
    );
    [first, second]
}

fn router() -> Router {
    router::router(Arc::<State>::default(), Limits::default())
}

async fn ask(router: &Router, path: &'static str, body: Bytes) -> Bytes {
    let request = http::Request::post(path)
        .header(http::header::CONTENT_LENGTH, body.len())
        .body(Body::from(body))
        .unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    assert!(response.status().is_success(), "{}", response.status());
    to_bytes(response.into_body(), usize::MAX).await.unwrap()
}

/// Reviews a second, one after the other: the best of five rounds, the others were disturbed.
fn throughput(path: &'static str, body: &Bytes) -> f64 {
    let router = router();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let round = || {
        let (begin, mut count) = (Instant::now(), 0_u32);
        while begin.elapsed() < Duration::from_millis(400) {
            for _ in 0..10 {
                black_box(runtime.block_on(ask(&router, path, body.clone())));
            }
            count += 10;
        }
        f64::from(count) / begin.elapsed().as_secs_f64()
    };
    (0..5).map(|_| round()).fold(0.0, f64::max)
}

/// Milliseconds at p50 and p99 from when each review is due, be the ones before it done or not.
fn paced(reviews: &[Bytes; 2], seconds: u32) -> [f64; 2] {
    let router = router();
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let begin = Instant::now() + Duration::from_millis(10);
    let under_way: Vec<_> = (0..500 * seconds)
        .map(|number| {
            let due = begin + Duration::from_millis(2) * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let index = usize::from(number % 2 == 1);
            let (router, body) = (router.clone(), reviews[index].clone());
            runtime.spawn(async move {
                black_box(ask(&router, PATHS[index], body).await);
                due.elapsed()
            })
        })
        .collect();
    let mut took: Vec<f64> = under_way
        .into_iter()
        .map(|task| runtime.block_on(task).unwrap().as_secs_f64() * 1e3)
        .collect();
    took.sort_by(f64::total_cmp);
    [took[took.len() / 2], took[took.len() * 99 / 100]]
}

/// Microseconds of each part of the work, at the median.
fn stages([first, second]: &[Bytes; 2]) {
    let config = Config::default();
    let request = |body: &Bytes| serde_json::from_slice::<Review>(body).unwrap().request.unwrap();
    let (new, defaulted) = (request(first), request(second));
    let run = decode::read::<TaskRun>(&new.object).object;
    let tree = || serde_json::to_value(&run).unwrap();
    let changed = tree();
    let rows: [(&str, &dyn Fn() -> Duration); 9] = [
        ("reading the review", &|| timed(|| request(first))),
        ("reading the object from it", &|| {
            timed(|| decode::read::<TaskRun>(&new.object))
        }),
        ("a copy of the object", &|| timed(|| run.clone())),
        ("defaults", &|| {
            let mut run = run.clone();
            timed(|| defaults::task_run(&mut run, &config))
        }),
        ("writing the object as a tree", &|| timed(tree)),
        ("a patch of what is the same", &|| {
            timed(|| json_patch::diff(&changed, &changed))
        }),
        ("its rules alone", &|| {
            timed(|| validate::task_run(&run, None, &config))
        }),
        ("defaulting, all of it", &|| {
            let mut request = new.clone();
            timed(|| admit::default(&mut request, &config))
        }),
        ("validation, all of it", &|| {
            let mut request = defaulted.clone();
            timed(|| admit::judge(&mut request, &config))
        }),
    ];
    for (name, stage) in rows {
        let mut took: Vec<Duration> = (0..300).map(|_| stage()).collect();
        took.sort();
        println!("  {name:<46} {:>9.1} µs", took[150].as_secs_f64() * 1e6);
    }
}

/// How long it takes to do it and to let go of what came of it.
fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let begin = Instant::now();
    drop(black_box(work()));
    begin.elapsed()
}

/// As many objects as that through both calls, by two workers as in the program.
fn flood(reviews: &[Bytes; 2], objects: usize) {
    let router = router();
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let (router, reviews, next) = (router.clone(), reviews.clone(), Arc::clone(&next));
            runtime.spawn(async move {
                while next.fetch_add(1, Ordering::Relaxed) < objects {
                    for (path, body) in PATHS.into_iter().zip(&reviews) {
                        black_box(ask(&router, path, body.clone()).await);
                    }
                }
            })
        })
        .collect();
    for client in clients {
        runtime.block_on(client).unwrap();
    }
}

/// How much the large object on standard input takes for a moment, as a multiple of its review.
fn peak(name: &str, path: &'static str) {
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body).unwrap();
    let body = Bytes::from(body);
    let router = router();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    black_box(runtime.block_on(ask(&router, path, review(&json!({})))));
    forget_peak();
    let before = resident("VmRSS:");
    let size = f64::from(u32::try_from(body.len()).unwrap()) / f64::from(1 << 20);
    black_box(runtime.block_on(ask(&router, path, body)));
    let most = (resident("VmHWM:") - before).max(0.0);
    println!(
        "{:<64} {most:>8.1} {:>6.1}x",
        format!("{name}, {size:.2} MiB, {path}, at most"),
        most / size
    );
}

/// MiB, as the kernel counts.
fn resident(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kib: f64 = line
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .unwrap();
    kib / 1024.0
}

/// From now on, the most is what there is now.
fn forget_peak() {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
}
