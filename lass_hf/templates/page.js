"use strict";
const get = id => document.getElementById(id);
const number = value => (value && Math.abs(value) < .01 ? value.toPrecision(2) : value.toFixed(2)).replaceAll("-", "−");
const percent = value => value < .005 ? "< 1 %" : value > .995 ? "> 99 %" : `${Math.round(100 * value)} %`;

// Text goes into the page as text only.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

async function fetchJson(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the server does not answer; was it stopped?");
  }
  const content = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(content.error || `the server answered ${response.status}`);
  return content;
}

const idOf = entry => entry.id === entry.text || entry.id.replaceAll("_", " ") === entry.text ? [] : [make("div", {class: "id"}, entry.id)];
