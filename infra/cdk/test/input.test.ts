// Whatever is wrong with what is given ends the synthesis with one line that names it.

import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { findBinary } from "../lib/binaries";
import { parameterValues } from "../lib/parameters";
import { readTemplate } from "../lib/template";
import { elf, folder, functionsOf, GIVEN, standIns, synthesise, TEMPLATE, write } from "./testing";

/** Fails with one line that `pattern` matches. */
function assertRefused(run: () => unknown, pattern: RegExp) {
  assert.throws(run, (error: Error) => {
    assert.match(error.message, pattern);
    assert.ok(!error.message.includes("\n"), error.message);
    return true;
  });
}

const binaries = standIns();

const WRONG: [string, object, RegExp][] = [
  ["no issuer", { tokenIssuer: undefined }, /^Petrel: TokenIssuer is (missing|empty)\. \S/],
  ["no audience", { tokenAudience: undefined }, /^Petrel: TokenAudience is (missing|empty)\. \S/],
  ["an issuer without TLS", { tokenIssuer: "http://issuer.example" }, /^Petrel: TokenIssuer must match \S+, not "http:/],
  ["an origin with a path", { allowedOrigins: "https://a.example/x" }, /^Petrel: AllowedOrigins must match /],
  ["an unknown architecture", { architecture: "mips" }, /^Petrel: Architecture must be one of arm64, x86_64, not "mips"/],
  ["a limit in words", { webSocketRateLimit: "many" }, /^Petrel: WebSocketRateLimit must be a number, not "many"/],
  ["a limit of nothing", { httpRateLimit: 0 }, /^Petrel: HttpRateLimit must be at least 1, not "0"/],
  ["too long a delay", { pushDelaySeconds: 901 }, /^Petrel: PushDelaySeconds must be at most 900, not "901"/],
  ["no delay", { pushDelaySeconds: 0 }, /^Petrel: PushDelaySeconds must be at least 1, not "0"/],
  ["an object", { stageName: {} }, /^Petrel: StageName must be text/],
  ["a misspelt name", { tokenIsuer: "https://issuer.example" }, /^Petrel: unknown parameter tokenIsuer; there are TokenIssuer, /],
  ["no binaries", { binaries: "/nowhere" }, /^Petrel: no binary of \w+Function \(\/nowhere\/.*cargo lambda build --release --arm64/],
  ["binaries for another machine", { architecture: "x86_64" }, /is for arm64, but \w+ runs on x86_64; build it with: cargo lambda build --release --package/],
  ["no template", { template: "/nowhere.yaml" }, /^Petrel: no template at \/nowhere.yaml/],
];

for (const [name, props, pattern] of WRONG) {
  test(`refused: ${name}`, () => assertRefused(() => synthesise({ ...GIVEN, binaries, ...props }), pattern));
}

test("refused: any one binary missing", () => {
  for (const [logicalId, binary] of functionsOf(readTemplate(TEMPLATE))) {
    const some = standIns();
    rmSync(join(some, binary), { recursive: true });
    assertRefused(() => synthesise({ ...GIVEN, binaries: some }), new RegExp(`no binary of ${logicalId} .*${binary}/bootstrap`));
  }
});

test("refused: what is no binary", () => {
  const some = folder();
  write(join(some, "send"), "#!/bin/sh\n");
  assertRefused(() => findBinary(some, "send", "SendFunction", "arm64"), /is for something else than Linux/);
});

test("refused: a template that is none", () => {
  const path = join(folder(), "template.yaml");
  write(path, "Parameters: {A: !Unknown 1}\n");
  assertRefused(() => readTemplate(path), /Unresolved tag: !Unknown/);
  write(path, "Parameters: [\n");
  assertRefused(() => readTemplate(path), new RegExp(`^Petrel: ${path}: `));
});

test("binaries are found as each tool leaves them", () => {
  for (const place of ["send/bootstrap", "SendFunction/bootstrap", "send"]) {
    const some = folder();
    write(join(some, place), elf("send", "x86_64"));
    assert.equal(findBinary(some, "send", "SendFunction", "x86_64"), join(some, place));
  }
});

const text = (more: object) => ({ P: { Type: "String", ...more } });
const list = { P: { Type: "List<Number>", MaxValue: 9 } };

test("parameters are held to CloudFormation's rules", () => {
  const refused = (declared: object, given: object, pattern: RegExp) =>
    assertRefused(() => parameterValues(declared as never, given as never), pattern);
  refused(text({ MinLength: 1 }), { p: "" }, /P must have at least 1 character, not ""/);
  refused(text({ MaxLength: 2 }), { p: "abc" }, /P must have at most 2 characters, not "abc"/);
  refused(text({ AllowedPattern: "a|b" }), { p: "ab" }, /P must match a\|b/);
  refused(text({ Default: 3, AllowedValues: [1, 2] }), {}, /P must be one of 1, 2, not "3"/);
  refused(text({ NoEcho: true }), { p: "x" }, /P is secret/);
  refused({ P: { Type: "AWS::SSM::Parameter::Value<String>" } }, { p: "x" }, /P is of type AWS::SSM/);
  refused(text({}), { p: ["a"] }, /P must be text/);
  refused(list, { p: [1, 10] }, /P must be at most 9, not "10"/);
  const value = (declared: object, given: object) => parameterValues(declared as never, given as never).get("P");
  assert.equal(value(text({}), { p: true }), "true");
  assert.equal(value(text({}), { P: "by the template's name" }), "by the template's name");
  assert.equal(value(text({ Default: 0 }), {}), "0");
  assert.deepEqual(value(list, { p: "1, 2" }), ["1", "2"]);
});

test("short forms mean what the long ones do", () => {
  const path = join(folder(), "template.yaml");
  write(path, 'A: { a: !Ref B, b: !GetAtt B.C.D, c: !GetAtt [B, C], d: !If [X, !Sub "${B}", { k: !Join ["", [!Ref B]] }] }\n');
  assert.deepEqual(readTemplate(path)["A"], {
    a: { Ref: "B" },
    b: { "Fn::GetAtt": ["B", "C.D"] },
    c: { "Fn::GetAtt": ["B", "C"] },
    d: { "Fn::If": ["X", { "Fn::Sub": "${B}" }, { k: { "Fn::Join": ["", [{ Ref: "B" }]] } }] },
  });
});
