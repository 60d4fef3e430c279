// The app as it is used: `cdk synth` in this folder, with parameters as context. No network, and no word to anyone.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { actual, codeOf, expected, folder, PACKAGE, read, standIns, TEMPLATE } from "../testing";

const binaries = standIns();
const ISSUER = ["-c", "TokenIssuer=https://issuer.example"];
const AUDIENCE = ["-c", "TokenAudience=petrel"];

/** Runs `cdk synth`, and `script` in each of its processes first. */
function synth(options: string[], script = "") {
  const output = folder();
  // No credentials are looked for at Amazon's metadata service, and none in this user's files.
  const none = { AWS_EC2_METADATA_DISABLED: "true", AWS_SHARED_CREDENTIALS_FILE: "/dev/null", AWS_CONFIG_FILE: "/dev/null" };
  const connections = join(output, "connections");
  const env = { ...process.env, ...none, PETREL_CONNECTIONS: connections, NODE_OPTIONS: script && `--require ${script}` };
  const run = spawnSync("npx", ["cdk", "synth", "--quiet", "--output", output, ...options], { cwd: PACKAGE, env, encoding: "utf8" });
  const tried = existsSync(connections) ? readFileSync(connections, "utf8") : "";
  return { output, status: run.status, stderr: run.stderr, tried };
}

test("synthesises the template, and reaches for no other host", () => {
  const recorder = join(__dirname, "connections.js");
  const probe = "require('node:net').connect(9, '127.0.0.1').on('error', () => {})";
  const log = join(folder(), "connections");
  spawnSync("node", ["--require", recorder, "-e", probe], { env: { ...process.env, PETREL_CONNECTIONS: log } });
  assert.match(readFileSync(log, "utf8"), /127\.0\.0\.1/, "the recorder records");

  const { output, status, stderr, tried } = synth([...ISSUER, ...AUDIENCE, "-c", `binaries=${binaries}`], recorder);
  assert.equal(status, 0, stderr);
  assert.equal(tried, "");
  assert.doesNotMatch(stderr, /WARNING/);

  const synthesised = read(output);
  const given = { tokenIssuer: "https://issuer.example", tokenAudience: "petrel" };
  assert.deepEqual(actual(synthesised.template), expected(TEMPLATE, given, codeOf(synthesised)));
});

const WRONG: [string, string[], RegExp][] = [
  ["nothing", [], /^Petrel: TokenIssuer is (missing|empty)\. \S.*$/m],
  ["a misspelt parameter", [...ISSUER, ...AUDIENCE, "-c", "Loglevel=INFO"], /^Petrel: unknown parameter Loglevel; there are .*$/m],
  ["no binaries", [...ISSUER, ...AUDIENCE, "-c", "binaries=/nowhere"], /^Petrel: no binary of \w+ .* build it with: cargo lambda .*$/m],
];

for (const [name, options, line] of WRONG) {
  test(`one line and a failure: ${name}`, () => {
    const { status, stderr } = synth(options);
    assert.equal(status, 1);
    assert.match(stderr, line);
    assert.doesNotMatch(stderr, /^\s+at /m, "a stack trace");
  });
}
