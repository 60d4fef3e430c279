// Petrel in an app of one's own: its outputs, its resources, and what is only known when deployed.

import assert from "node:assert/strict";
import { test } from "node:test";
import { App, RemovalPolicy, Stack } from "aws-cdk-lib";
import { StringParameter } from "aws-cdk-lib/aws-ssm";
import { UserPool } from "aws-cdk-lib/aws-cognito";
import { Petrel } from "../lib";
import { folder, GIVEN, standIns } from "./testing";

const binaries = standIns();
const app = () => new App({ outdir: folder(), builtinCloudFormationValidation: false });

test("outputs can be used in the stack and in others", () => {
  const own = app();
  const stack = new Stack(own, "Chat");
  const { outputs } = new Petrel(stack, "Petrel", { ...GIVEN, binaries });
  const other = new Stack(own, "Web");
  new StringParameter(stack, "Inside", { stringValue: outputs.webSocketUrl });
  new StringParameter(other, "Url", { stringValue: outputs.webSocketUrl });
  new StringParameter(other, "Table", { stringValue: outputs.messagesTableName });
  new StringParameter(other, "Queue", { stringValue: outputs.fanoutQueueUrl });
  const assembly = own.synth();

  const chat = assembly.getStackByName("Chat").template;
  const inside = Object.entries<any>(chat.Resources).find(([id]) => id.startsWith("Inside"))?.[1].Properties.Value;
  assert.deepEqual(inside["Fn::Sub"][1], { StageName: "prod", WebSocketApi: { Ref: "WebSocketApi" } });

  const web = assembly.getStackByName("Web");
  assert.deepEqual(web.dependencies.filter(({ id }) => id === "Chat").length, 1);
  // Every import has its export.
  const exports = Object.values<any>(chat.Outputs).flatMap((output) => (output.Export ? [output.Export.Name] : []));
  const imports = [...JSON.stringify(web.template).matchAll(/"Fn::ImportValue":"([^"]+)"/g)].map(([, name]) => name);
  assert.deepEqual(new Set(imports), new Set(exports));
  assert.equal(exports.length, 3);
  assert.match(JSON.stringify(web.template), /wss:\/\/\$\{WebSocketApi\}/);
});

test("an issuer that is only known when deployed", () => {
  const own = app();
  const stack = new Stack(own, "Chat");
  const pool = new UserPool(stack, "Users");
  const client = pool.addClient("Web");
  new Petrel(stack, "Petrel", { tokenIssuer: pool.userPoolProviderUrl, tokenAudience: client.userPoolClientId, binaries });
  const { Resources } = own.synth().getStackByName("Chat").template;
  const { issuer, audience } = Resources.HttpApi.Properties.Auth.Authorizers.Token.JwtConfiguration;
  // Whatever the template may choose it by.
  const holds = (where: unknown, part: object) => assert.ok(JSON.stringify(where).includes(JSON.stringify(part)), JSON.stringify(where));
  holds(issuer, { "Fn::GetAtt": [stack.getLogicalId(pool.node.defaultChild as never), "ProviderURL"] });
  holds(audience, { Ref: stack.getLogicalId(client.node.defaultChild as never) });
});

test("what conditions read has to be known at synth", () => {
  const stack = new Stack(app(), "Chat");
  assert.throws(() => new Petrel(stack, "Petrel", { ...GIVEN, allowedOrigins: stack.urlSuffix, binaries }), {
    message: "Petrel: AllowedOrigins is read by a condition of the template, so its value must be known at synth",
  });
});

test("resources can be referred to and overridden", () => {
  const own = app();
  const petrel = new Petrel(new Stack(own, "Chat"), "Petrel", { ...GIVEN, binaries });
  petrel.resource("MessagesTable").applyRemovalPolicy(RemovalPolicy.DESTROY);
  petrel.resource("SendFunction").addPropertyOverride("MemorySize", 1024);
  const { Resources } = own.synth().getStackByName("Chat").template;
  assert.equal(Resources.MessagesTable.DeletionPolicy, "Delete");
  assert.equal(Resources.SendFunction.Properties.MemorySize, 1024);
  assert.throws(() => petrel.resource("Nothing"), { message: "Petrel: the template has no resource Nothing" });
});

test("one to a stack, many to an app", () => {
  const own = app();
  const stack = new Stack(own, "Blue");
  new Petrel(stack, "Petrel", { ...GIVEN, binaries });
  new Petrel(new Stack(own, "Green"), "Petrel", { ...GIVEN, binaries });
  assert.throws(() => new Petrel(stack, "Second", { ...GIVEN, binaries }), /^Error: Petrel: the stack Blue has one already/);
});
