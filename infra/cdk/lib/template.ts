// Reads a CloudFormation template as it is written, with short forms such as !Ref spelled out. Knows nothing of what
// the template says.

import { readFileSync } from "node:fs";
import { type CollectionTag, parseDocument, type ScalarTag, type YAMLMap, type YAMLSeq } from "yaml";

/** What YAML and JSON have in common. */
export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** A template's sections by name: Parameters, Resources and so on. */
export type Template = { [section: string]: JsonObject };

const FUNCTIONS = [
  ...["Base64", "Cidr", "FindInMap", "GetAtt", "GetAZs", "If", "ImportValue", "Join", "Select", "Split", "Sub"],
  ...["Transform", "And", "Equals", "Not", "Or", "Length", "ToJsonString", "Ref", "Condition"],
  ...["Contains", "EachMemberEquals", "EachMemberIn", "RefAll", "ValueOf", "ValueOfAll"],
];

function spelledOut(name: string, value: Json): Json {
  if (name === "Ref" || name === "Condition") return { [name]: value };
  if (name === "GetAtt" && typeof value === "string") {
    const dot = value.indexOf(".");
    return { "Fn::GetAtt": [value.slice(0, dot), value.slice(dot + 1)] };
  }
  return { [`Fn::${name}`]: value };
}

const tags = FUNCTIONS.flatMap((name): (ScalarTag | CollectionTag)[] => [
  { tag: `!${name}`, resolve: (text: string) => spelledOut(name, text) },
  { tag: `!${name}`, collection: "seq", resolve: (node: YAMLSeq | YAMLMap) => spelledOut(name, node.toJSON()) },
  { tag: `!${name}`, collection: "map", resolve: (node: YAMLSeq | YAMLMap) => spelledOut(name, node.toJSON()) },
]);

/** The template in the file at `path`. */
export function readTemplate(path: string): Template {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    throw new Error(`Petrel: no template at ${path}`);
  }
  const document = parseDocument(text, { customTags: tags });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem) throw new Error(`Petrel: ${path}: ${problem.message.split("\n")[0]}`);
  return document.toJS() as Template;
}

/** Whether `value` is an object, and so may be a function such as {"Ref": …}. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
