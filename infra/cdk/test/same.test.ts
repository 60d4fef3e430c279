// The synthesised template is template.yaml: nothing differs but the functions' code, and each function has its own.

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { isObject, type JsonObject } from "../lib/template";
import { actual, codeOf, elf, expected, folder, GIVEN, standIns, synthesise, TEMPLATE, write } from "./testing";

const arm = standIns("arm64");

function assertSame(path: string, given: Record<string, unknown>, binaries: string) {
  const synthesised = synthesise({ ...given, binaries, template: path });
  assert.deepEqual(actual(synthesised.template), expected(path, given, codeOf(synthesised)));
}

test("with what must be given", () => assertSame(TEMPLATE, GIVEN, arm));

test("with every kind of parameter", () => {
  const given = {
    ...GIVEN,
    jwksUrl: "https://keys.example/${not a variable}",
    allowedOrigins: "https://a.example,https://b.example",
    stageName: "blue",
    webSocketRateLimit: 1234,
    architecture: "x86_64",
    deletionProtection: false,
    fcmArn: "arn:aws:sns:eu-west-1:123456789012:app/GCM/petrel",
  };
  assertSame(TEMPLATE, given, standIns("x86_64"));
});

test("each function has its own binary, and may execute it", () => {
  const synthesised = synthesise({ ...GIVEN, binaries: arm });
  const code = Object.entries(codeOf(synthesised));
  assert.ok(code.length > 0);
  for (const [logicalId, { Bucket, Key }] of code) {
    assert.ok(isObject(Bucket) && String(Bucket["Fn::Sub"]).startsWith("cdk-"), logicalId);
    const bootstrap = join(synthesised.files.get(Key) ?? "", "bootstrap");
    const binary = logicalId.replace("Function", "").toLowerCase();
    assert.deepEqual(readFileSync(bootstrap), elf(binary, "arm64"));
    assert.equal(statSync(bootstrap).mode & 0o777, 0o755);
  }
});

test("the comparison notices whatever is missing", () => {
  const { template, ...rest } = synthesise({ ...GIVEN, binaries: arm });
  const right = expected(TEMPLATE, GIVEN, codeOf({ template, ...rest }));
  // The path to everything down to a resource's properties.
  const paths = (node: JsonObject, depth: number): string[][] =>
    Object.entries(node).flatMap(([key, part]) => [
      [key],
      ...(depth > 1 && isObject(part) ? paths(part, depth - 1).map((path) => [key, ...path]) : []),
    ]);
  const all = paths(template, 4).filter(([section = "", name = ""]) => !/Bootstrap/.test(name) && !(section === "Rules" && name === ""));
  assert.ok(all.length > 100);
  for (const path of all) {
    const mutant = structuredClone(template) as JsonObject;
    const parent = path.slice(0, -1).reduce((node, key) => node[key] as JsonObject, mutant);
    delete parent[path.at(-1) as string];
    assert.notDeepEqual(actual(mutant as typeof template), right, path.join("."));
  }
});

test("a parameter with another value has another name, and one with the same value the same", () => {
  const names = (more: object) => Object.keys(synthesise({ ...GIVEN, ...more, binaries: arm }).template["Parameters"] ?? {});
  const [small, large] = [names({ httpRateLimit: 1 }), names({ httpRateLimit: 2 })];
  assert.deepEqual(names({ httpRateLimit: 1 }), small);
  const changed = small.filter((name) => !large.includes(name));
  assert.equal(changed.length, 1);
  assert.match(String(changed[0]), /^HttpRateLimit[0-9a-f]{8}$/);
});

// What template.yaml may have tomorrow.
const EVERY_SECTION = `
AWSTemplateFormatVersion: "2010-09-09"
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Description: Every section.
Metadata: { Owner: { Name: !Ref Domain } }
Parameters:
  Domain: { Type: String, Default: "" }
  Zones: { Type: CommaDelimitedList, Default: "a, b" }
  Mode: { Type: String, Default: big, AllowedValues: [small, big] }
Rules:
  BigHasADomain:
    RuleCondition: !Equals [!Ref Mode, big]
    Assertions:
      - Assert: !Not [!Equals [!Ref Domain, ""]]
        AssertDescription: Domain is empty. Give one, or make Mode small.
Mappings: { Sizes: { small: { Memory: 128 }, big: { Memory: 512 } } }
Conditions:
  HasDomain: !Not [!Equals [!Ref Domain, ""]]
  IsHome: !Equals [!Ref AWS::Region, eu-central-1]
  IsBig: !And [!Condition HasDomain, !Or [!Equals [!Ref Mode, big], !Condition IsHome]]
Globals: { Function: { CodeUri: ., Runtime: provided.al2023, Handler: bootstrap, Architectures: [arm64] } }
Resources:
  PushFunction:
    Type: AWS::Serverless::Function
    DependsOn: [Topic]
    Properties:
      MemorySize: !FindInMap [Sizes, !Ref Mode, Memory]
      Environment: { Variables: { URL: !Sub "https://\${Domain}/\${!left}/\${AWS::Region}/\${Topic.TopicName}", EMPTY: "", NONE: {} } }
  InlineFunction:
    Type: AWS::Serverless::Function
    Properties: { InlineCode: "exports.handler = () => {}", Runtime: nodejs20.x, Handler: index.handler }
  Topic:
    Type: AWS::SNS::Topic
    Condition: HasDomain
    DeletionPolicy: Retain
    UpdateReplacePolicy: Delete
    UpdatePolicy: { UseOnlineResharding: true }
    Metadata: { Reason: !Sub ["\${A} of \${Domain}", { A: !Ref Mode }] }
    Properties: { DisplayName: !If [IsBig, !Join ["-", !Ref Zones], !Ref AWS::NoValue] }
  Unknown: { Type: Custom::Whatever, Properties: { Made: !Ref PushFunctionRole, Part: !GetAtt Topic.TopicArn.More } }
  Fn::ForEach::Zones:
    - Zone
    - !Ref Zones
    - "Queue\${Zone}": { Type: AWS::SQS::Queue }
Outputs:
  Name: { Condition: HasDomain, Value: !GetAtt Topic.TopicName, Export: { Name: !Sub "\${AWS::StackName}-\${Mode}" } }
  Plain: { Description: No reference., Value: !Select [0, !Ref Zones] }
`;

test("every section of a template survives", () => {
  const path = join(folder(), "template.yaml");
  write(path, EVERY_SECTION);
  const binaries = folder();
  write(join(binaries, "push"), elf("push", "arm64"));
  const given = { domain: "x.example" };
  const synthesised = synthesise({ ...given, binaries, template: path });
  const { PushFunction } = codeOf(synthesised);
  const right = expected(path, { ...given, zones: "a,b" }, { PushFunction: PushFunction as never });
  assert.deepEqual(actual(synthesised.template), right);
  assert.throws(() => synthesise({ binaries, template: path }), { message: "Petrel: Domain is empty. Give one, or make Mode small." });
  synthesise({ mode: "small", binaries, template: path });
});
