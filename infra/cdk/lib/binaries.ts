// Finds the functions' binaries and lays each out as Lambda wants it: a folder with one executable, bootstrap.

import { chmodSync, copyFileSync, existsSync, mkdirSync, openSync, readSync, closeSync, statSync } from "node:fs";
import { join } from "node:path";

// e_machine in an ELF header, see elf(5).
const MACHINES: Record<number, string> = { 0x3e: "x86_64", 0xb7: "arm64" };

/** How the binaries are built for `architecture`. */
export function buildCommand(architecture: string): string {
  return `cargo lambda build --release${architecture === "arm64" ? " --arm64" : ""} --package petrel-functions`;
}

/**
 * The file with `binary` for the function `logicalId` below `folder`: as `cargo lambda build`, `sam build` or plain
 * `cargo build` leave it there. Fails when there is none, or one that does not run on `architecture`.
 */
export function findBinary(folder: string, binary: string, logicalId: string, architecture: string): string {
  const places = [join(folder, binary, "bootstrap"), join(folder, logicalId, "bootstrap"), join(folder, binary)];
  const found = places.find((place) => existsSync(place) && statSync(place).isFile());
  const remedy = `build it with: ${buildCommand(architecture)}`;
  if (!found) throw new Error(`Petrel: no binary of ${logicalId} (${places.join(", ")}); ${remedy}`);
  const machine = machineOf(found);
  if (machine !== architecture) {
    throw new Error(`Petrel: ${found} is for ${machine}, but ${logicalId} runs on ${architecture}; ${remedy}`);
  }
  return found;
}

function machineOf(path: string): string {
  const header = Buffer.alloc(20);
  const file = openSync(path, "r");
  try {
    readSync(file, header, 0, header.length, 0);
  } finally {
    closeSync(file);
  }
  const isElf = header.subarray(0, 4).equals(Buffer.from("\x7fELF", "latin1"));
  return (isElf && MACHINES[header.readUInt16LE(18)]) || "something else than Linux on arm64 or x86_64";
}

/** Copies `file` to `folder`/bootstrap, executable, and returns the folder. */
export function layOut(file: string, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const bootstrap = join(folder, "bootstrap");
  copyFileSync(file, bootstrap);
  chmodSync(bootstrap, 0o755);
  return folder;
}
