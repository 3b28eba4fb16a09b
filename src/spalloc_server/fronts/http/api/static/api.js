// The page on which the API is tried: one form for each operation of the OpenAPI document. It loads nothing from elsewhere.
"use strict";

const base = document.currentScript.dataset.base;
let csrf = null;

function made(tag, parent, text, attributes) {
  const element = document.createElement(tag);
  Object.assign(element, attributes || {});
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

function resolved(schema, all) {
  while (schema && schema.$ref) schema = all[schema.$ref.split("/").pop()];
  return schema || {};
}

// An example of what a schema allows, deep enough to be filled in.
function example(schema, all, depth) {
  schema = resolved(schema, all);
  if (schema.examples) return schema.examples[0];
  if ("default" in schema && schema.default !== null) return schema.default;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return example(schema.anyOf.find((one) => one.type !== "null"), all, depth);
  if (schema.type === "object") {
    const needed = schema.required || [];
    const names = Object.keys(schema.properties || {}).filter((name) => depth > 0 || needed.includes(name));
    return Object.fromEntries(names.map((name) => [name, example(schema.properties[name], all, 0)]));
  }
  if (schema.type === "array") return (schema.prefixItems || []).map((one) => example(one, all, 0));
  if (schema.type === "integer" || schema.type === "number") return schema.minimum || 0;
  return schema.type === "boolean" ? false : "";
}

async function show(output, path, options) {
  output.textContent = "…";
  try {
    const answer = await fetch(base + path.slice(1), options);
    let body = await answer.text();
    if ((answer.headers.get("content-type") || "").includes("json") && body) {
      body = JSON.stringify(JSON.parse(body), null, 2);
    }
    const headers = [...answer.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    output.textContent = `${answer.status} ${answer.statusText}\n${headers}\n\n${body}`;
  } catch (error) {
    output.textContent = String(error);
  }
}

function operation(parent, path, method, told, all) {
  const box = made("details", parent);
  const head = made("summary", box);
  made("code", head, method.toUpperCase(), { className: "method" });
  made("code", head, path);
  made("span", head, ` ${told.summary}`);
  const form = made("form", box);
  const fields = (told.parameters || []).map((one) => {
    const label = made("label", form);
    made("span", label, `${one.name} (${one.in})`);
    const value = one.schema.default;
    return [one, made("input", label, "", { required: one.required, placeholder: value === undefined ? "" : `${value}` })];
  });
  const kind = told.requestBody && Object.keys(told.requestBody.content)[0];
  let body = null;
  if (kind) {
    body = made("textarea", form, "", { rows: 8, spellcheck: false });
    if (kind === "application/json") {
      body.value = JSON.stringify(example(told.requestBody.content[kind].schema, all, 1), null, 2);
    }
  }
  made("button", form, "Send");
  const output = made("pre", box);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    let target = path;
    const query = new URLSearchParams();
    for (const [one, input] of fields) {
      if (one.in === "path") target = target.replace(`{${one.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.set(one.name, input.value);
    }
    const headers = {};
    if (method !== "get" && csrf) headers[csrf["csrf-header"]] = csrf["csrf-token"];
    if (kind) headers["Content-Type"] = kind;
    const words = String(query);
    show(output, target + (words ? `?${words}` : ""), {
      method: method.toUpperCase(),
      headers,
      body: body ? body.value : undefined,
      redirect: "manual",
    });
  });
}

async function begin() {
  const list = document.getElementById("operations");
  const said = document.getElementById("said");
  const root = await fetch(`${base}srv/spalloc`, { headers: { Accept: "application/json" } });
  if (root.ok) csrf = await root.json();
  said.textContent = csrf ? `Logged in to the account ${csrf.account}, a ${csrf.role}.` : "Not logged in.";
  const described = await (await fetch(`${base}srv/openapi.json`)).json();
  for (const [path, methods] of Object.entries(described.paths)) {
    if (!path.startsWith("/srv/")) continue;
    for (const [method, told] of Object.entries(methods)) {
      operation(list, path, method, told, described.components.schemas);
    }
  }
}

begin().catch((error) => {
  document.getElementById("said").textContent = String(error);
});
