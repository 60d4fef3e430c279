//! The disk becomes full while people write, the server dies there, and the space comes back. Nothing that was
//! acknowledged may be missing, and all that was not is acknowledged in the end.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use clap::Args;
use petrel_test_client::server::{Server, serve};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until, timeout};

use crate::crowd::{Crowd, Plan};
use crate::kills::finish_people;
use crate::report::{Report, figures};
use crate::site::{Key, Site, stop};
use crate::{Result, check, progress};

/// Most time for each thing that is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How a server ends that cannot write to its folder.
const INACCESSIBLE: i32 = 74;

/// How to fill it.
#[derive(Args, Clone, Debug)]
pub struct FullArgs {
    /// Size of the disk
    #[arg(long, default_value_t = 16, value_name = "MIB", value_parser = clap::value_parser!(u32).range(8..=1024))]
    size: u32,
    /// People, each with a device
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(2..=50))]
    people: u16,
    /// Messages that are acknowledged before the disk is full, and again before the server dies
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    messages: u64,
}

/// A small disk that only the processes in its mount namespace see, as long as this value lives.
struct Disk {
    holder: Child,
    /// Where it lies for those.
    folder: PathBuf,
}

impl Disk {
    async fn mount(folder: &Path, mib: u32) -> Result<Self> {
        let script = format!(
            "mount -t tmpfs -o size={mib}m,mode=0700 petrel-fire \"$1\" && echo mounted && exec cat"
        );
        let mut unshare = Command::new("unshare");
        unshare.arg("--mount");
        if !rustix::process::geteuid().is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        // Ends with this program: its stdin closes then.
        let mut holder = unshare
            .args(["sh", "-c", &script, "sh"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("cannot start unshare of util-linux: {e}"))?;
        let stdout = holder.stdout.take().ok_or("unshare without stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let said = timeout(PATIENCE, lines.next_line()).await??;
        if said.as_deref() != Some("mounted") {
            return Err("cannot mount a tmpfs: this needs root, or user namespaces".into());
        }
        Ok(Self { holder, folder: folder.to_owned() })
    }

    fn pid(&self) -> Result<u32> {
        Ok(self.holder.id().ok_or("whoever holds the disk has ended")?)
    }

    /// The disk's folder as this process sees it.
    fn seen_from_here(&self) -> Result<PathBuf> {
        let folder = self.folder.strip_prefix("/")?;
        Ok(Path::new(&format!("/proc/{}/root", self.pid()?)).join(folder))
    }

    /// A server on it.
    fn serve(&self, binary: &Path, log: File) -> Result<Command> {
        let mut enter = Command::new("nsenter");
        enter.args(["--target", &self.pid()?.to_string(), "--mount"]);
        if !rustix::process::geteuid().is_root() {
            enter.args(["--user", "--preserve-credentials"]);
        }
        let server = serve(binary, &self.folder);
        let server = server.as_std();
        enter.arg(server.get_program()).args(server.get_args());
        enter.envs(server.get_envs().filter_map(|(name, value)| Some((name, value?))));
        enter.stderr(log);
        Ok(enter)
    }

    /// Takes every byte that is left, and says how many those were.
    fn fill(&self) -> Result<u64> {
        let mut filler = File::options().create(true).append(true).open(self.filler()?)?;
        let mut size = 64 * 1024;
        while size > 0 {
            if filler.write_all(&vec![0; size]).is_err() {
                size /= 2;
            }
        }
        Ok(filler.metadata()?.len())
    }

    fn empty(&self) -> Result<()> {
        Ok(fs::remove_file(self.filler()?)?)
    }

    fn filler(&self) -> Result<PathBuf> {
        Ok(self.seen_from_here()?.join("filler"))
    }
}

/// Waits until something is so.
async fn until(what: &str, mut so: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        if Instant::now() > deadline {
            return Err(format!("waited in vain until {what}").into());
        }
        sleep_until(Instant::now() + Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Runs it.
pub async fn run(site: &Site, args: &FullArgs, seed: u64) -> Result<Report> {
    let FullArgs { size, people, messages } = *args;
    let began = Instant::now();
    let folder = site.data().join("disk");
    fs::create_dir(&folder)?;
    let disk = Disk::mount(&folder, size).await?;
    let log_file = site.data().join("log");
    let log = || File::options().create(true).append(true).open(&log_file);
    let start = || Server::spawn(disk.serve(site.binary(), log()?)?);
    let mut server = start()?;
    let addr = server.listening().await?;
    let key = Key::read(&disk.seen_from_here()?)?;
    let plan = Plan { people: people.into(), rate: 200.0, most: 3, bytes: 200, stays: None, seed };
    let mut crowd = Crowd::gather(&plan, &addr, key).await?;
    let tally = crowd.tally.clone();
    until("messages are acknowledged", || tally.acknowledged.get() >= messages).await?;

    let filled = disk.fill()?;
    let busy = tally.busy.get();
    until("people are told `busy`", || tally.busy.get() > busy + 20).await?;
    let (then, refused) = (tally.acknowledged.get(), tally.busy.get() - busy);
    progress(&format!(
        "the disk is full; {then} messages are acknowledged, {refused} answers were busy"
    ));
    // What is there can be read all the while.
    let logs = crowd.read_logs(&addr).await?;
    let readable: usize = logs.iter().map(|log| log.entries.len()).sum();
    let mut problems = vec![];
    if (readable as u64) < then {
        problems.push(format!("{then} messages were acknowledged, and {readable} can be read"));
    }

    server.kill().await?;
    crowd.move_to(None);
    let (mut on_full_disk, started) = start_on_full_disk(start()?).await?;
    if let Some(server) = &mut on_full_disk {
        server.kill().await?;
    }
    disk.empty()?;
    server = start()?;
    let addr = server.listening().await?;
    crowd.move_to(Some(&addr));
    let goal = tally.acknowledged.get() + messages;
    until("messages are acknowledged again", || tally.acknowledged.get() >= goal).await?;

    let (books, late) = finish_people(&mut crowd).await?;
    let logs = crowd.read_logs(&addr).await?;
    stop(server).await?;
    let (checked, broken) = check::check(&logs, &books);
    problems.extend(broken);
    problems.extend(late);
    let said = fs::read_to_string(&log_file)?;
    if !said.contains("the database does not work") {
        problems.push(format!("the log does not say that the database did not work: {said}"));
    }
    let mut figures = figures(&tally);
    let numbers: [(&str, Value); 4] = [
        ("bytes_taken_away", filled.into()),
        ("acknowledged_when_it_was_full", then.into()),
        ("entries_read_while_it_was_full", readable.into()),
        ("started_on_the_full_disk", started.into()),
    ];
    figures.extend(numbers.map(|(name, value)| (name.to_owned(), value)));
    Ok(Report {
        run: "full",
        settings: format!("a disk of {size} MiB, {people} people"),
        seed,
        seconds: began.elapsed().as_secs_f64(),
        figures,
        checked,
        problems,
    })
}

/// A server that is started where no byte is left either serves, or says why not and ends as it should.
async fn start_on_full_disk(mut server: Server) -> Result<(Option<Server>, String)> {
    match server.listening().await {
        Ok(_) => Ok((Some(server), "yes".to_owned())),
        Err(_) => {
            let ended = timeout(PATIENCE, server.wait()).await??;
            if ended.code() != Some(INACCESSIBLE) {
                return Err(format!("on a full disk, the server ended with {ended}").into());
            }
            Ok((None, format!("no: it said why, and ended with {INACCESSIBLE}")))
        }
    }
}
