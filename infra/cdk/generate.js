// Writes lib/generated.ts: the types of the construct's parameters and outputs, derived from the template's. It is made
// anew by every build and never committed, so that it cannot disagree with the template.
"use strict";

const { readFileSync, writeFileSync } = require("node:fs");
const { join } = require("node:path");
const { parseDocument } = require("yaml");

const path = process.env.PETREL_TEMPLATE || join(__dirname, "../../template.yaml");
// Tags such as !Ref stand only where this does not look; unknown, they warn.
const template = parseDocument(readFileSync(path, "utf8"), { logLevel: "error" }).toJS();

const property = (name) => name[0].toLowerCase() + name.slice(1);
// A description may hold the end of a comment (https://*/).
const comment = (text) => `  /** ${String(text).replaceAll("*/", "*\\/").replaceAll("\n", " ").trim()} */\n`;

function type({ Type, AllowedValues }) {
  if (Type === "Number") return AllowedValues ? AllowedValues.map(Number).join(" | ") : "number";
  if (Type === "CommaDelimitedList" || Type.startsWith("List<")) return "string[]";
  if (AllowedValues?.every((value) => ["true", "false"].includes(String(value)))) return "boolean";
  return AllowedValues ? AllowedValues.map((value) => JSON.stringify(String(value))).join(" | ") : "string";
}

const parameters = Object.entries(template.Parameters).map(([name, parameter]) => {
  const optional = parameter.Default !== undefined;
  const standard = optional ? ` Default: ${JSON.stringify(String(parameter.Default))}.` : "";
  return `${comment((parameter.Description ?? name) + standard)}  readonly ${property(name)}${optional ? "?" : ""}: ${type(parameter)};\n`;
});

// An output with a condition is undefined when the parameters do not meet it.
const outputs = Object.entries(template.Outputs).map(([name, output]) => {
  const of = output.Condition ? "string | undefined" : "string";
  return `${comment(output.Description ?? name)}  readonly ${property(name)}: ${of};\n`;
});

writeFileSync(
  join(__dirname, "lib/generated.ts"),
  `// Made by generate.js from the template. Do not edit.

/** The template's parameters. */
export interface PetrelParameters {
${parameters.join("")}}

/** The template's outputs. */
export interface PetrelOutputs {
${outputs.join("")}}
`,
);
