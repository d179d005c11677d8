// Small functions for elements of the page.

/** Returns the element with an id. */
export const byId = (id) => document.getElementById(id);

/**
 * Makes an element.
 *
 * @param {string} tag its name.
 * @param {Object} attributes by name; null, undefined and false are left out.
 * @param {...(Node|string)} children elements and texts.
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children);
  return element;
}

/** Shows a text in an element; an empty one hides it. */
export function say(element, text = '') {
  element.textContent = text;
  element.hidden = !text;
}

/** Makes a sentence of an error message. */
export const sentence = (message) =>
  message.slice(0, 1).toUpperCase() + message.slice(1) + (/[.?!]$/.test(message) ? '' : '.');

/** Puts options into a select element: pairs of a value and a text. */
export function fillSelect(select, options) {
  select.replaceChildren(...options.map(([value, text]) => make('option', { value }, text)));
}

const MINUS = '\u2212';

/** Writes a number with a fixed number of decimals, and a minus sign that is one. */
export function fixed(number, decimals) {
  return number.toFixed(decimals).replace('-', MINUS);
}

/** Writes a score: three decimals tell results apart, and large numbers need fewer. */
export const writtenScore = (score) => fixed(score, Math.abs(score) < 100 ? 3 : 1);

/** Writes a number of things: `1 result`, `3 results`. */
export const counted = (count, what) =>
  `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`;

/** Writes the seconds since a time of `performance.now()`. */
export function secondsSince(began) {
  const seconds = (performance.now() - began) / 1000;
  return `${seconds.toFixed(seconds < 10 ? 2 : 0)} s`;
}
