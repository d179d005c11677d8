// The attention between a source and an output: two lines of text whose pieces show what they
// attend to, and a heatmap. Pointer and keyboard do the same in both.

import { byId, fixed, make, say } from './elements.js';

/** Most cells of a heatmap; more would take the browser seconds, and show nothing. */
const MOST_CELLS = 20000;

const HELP =
  'Point at a part of either text, or go to one with Tab and the arrow keys, to see what it '
  + 'belongs to.';

/** How many source pieces are named for a piece of the output. */
const NAMED = 3;

export class AttentionView {
  constructor() {
    this.reply = null;
    this.focused = {}; // row and column of what has the focus
    const view = byId('attention-view');
    view.addEventListener('pointerover', (event) => this.mark(placeOf(event.target)));
    view.addEventListener('pointerleave', () => this.mark(this.focused));
    view.addEventListener('focusin', (event) => {
      this.focused = placeOf(event.target);
      this.mark(this.focused);
    });
    view.addEventListener('focusout', () => {
      this.focused = {};
      this.mark({});
    });
    view.addEventListener('click', (event) => {
      // A touch, and a click in browsers that do not focus buttons.
      event.target.closest('[data-row], [data-column]')?.focus();
    });
    view.addEventListener('keydown', (event) => this.move(event));
    byId('units').addEventListener('change', () => this.draw());
  }

  /** Says why there is nothing to show. */
  explain(why) {
    byId('attention').hidden = false;
    byId('attention').removeAttribute('aria-busy');
    say(byId('attention-note'), why);
    byId('attention-view').hidden = byId('units').hidden = true;
  }

  /** Hides what there is, which belongs to another text. */
  clear() {
    this.reply = null;
    say(byId('attention-note'));
    byId('attention-view').hidden = byId('units').hidden = true;
  }

  /** Fades what there is, which belongs to another result, until the next one comes. */
  wait() {
    byId('attention').hidden = false;
    byId('attention').setAttribute('aria-busy', 'true');
  }

  /** Shows the attention of a reply of the server. */
  show(reply, request) {
    byId('attention').removeAttribute('aria-busy');
    this.reply = reply;
    this.languages = { source: request.source, output: request.target };
    say(byId('attention-note'));
    byId('attention-view').hidden = byId('units').hidden = false;
    this.draw();
  }

  draw() {
    if (!this.reply) return;
    // What has the focus is about to be replaced.
    const within = document.activeElement.closest('.line, #heatmap');
    const words = document.querySelector('input[name=units]:checked').value === 'words';
    this.what = words ? 'word' : 'piece';
    const { source, output, attention } = this.reply;
    this.columns = words ? wordUnits(source) : pieceUnits(source);
    this.rows = words ? wordUnits(output) : pieceUnits(output);
    this.weights = this.rows.map((row) =>
      this.columns.map((column) => {
        const values = row.places.map((t) =>
          column.places.reduce((sum, s) => sum + attention[t][s], 0));
        return values.reduce((sum, value) => sum + value, 0) / values.length;
      }));
    this.largest = Math.max(...this.weights.map((row) => Math.max(0, ...row)), 0) || 1;
    this.drawLine(byId('source-line'), this.columns, 'column', this.languages.source);
    this.drawLine(byId('output-line'), this.rows, 'row', this.languages.output);
    const small = this.rows.length * this.columns.length <= MOST_CELLS;
    byId('heatmap-frame').hidden = byId('legend').hidden = !small;
    byId('heatmap').replaceChildren();
    if (small) this.drawHeatmap();
    byId('legend-text').textContent =
      `A row is a ${this.what} of the output, a column one of the source.`;
    byId('largest').textContent = fixed(this.largest, 2);
    this.help = small
      ? HELP
      : `${this.columns.length} \u00d7 ${this.rows.length} ${this.what}s are too many for a heatmap. ${HELP}`;
    this.focused = {};
    this.mark({});
    within?.querySelector('[tabindex="0"]')?.focus();
  }

  drawLine(line, units, axis, language) {
    // The direction is that of the text, and not that of a special token's Latin letters.
    line.lang = known(language);
    line.dir = direction(units.map(({ text }) => text).join(''));
    this[`${axis}Buttons`] = units.map((unit, at) => {
      const button = make('button', {
        type: 'button',
        class: unit.special ? 'unit special' : 'unit',
        tabindex: at === 0 ? 0 : -1,
        [`data-${axis}`]: at,
      }, unit.shown);
      button.setAttribute('aria-label', this.spoken(axis, at));
      return button;
    });
    line.replaceChildren(...this[`${axis}Buttons`].flatMap((button, at) =>
      units[at].spaced ? [' ', button] : [button]));
  }

  drawHeatmap() {
    const { columns, rows, weights } = this;
    const heatmap = byId('heatmap');
    heatmap.dir = byId('source-line').dir;
    const head = (unit, axis, at) => make('th', {
      scope: axis === 'row' ? 'row' : 'col',
      role: `${axis}header`,
      dir: 'auto',
      lang: known(this.languages[axis === 'row' ? 'output' : 'source']),
      class: unit.special ? 'special' : null,
      tabindex: -1,
      [`data-${axis}`]: at,
      'aria-label': this.spoken(axis, at),
    }, unit.label);
    const top = make('tr', { role: 'row' }, make('td', { class: 'corner' }),
      ...columns.map((unit, at) => head(unit, 'column', at)));
    const below = rows.map((unit, row) => make('tr', { role: 'row' }, head(unit, 'row', row),
      ...columns.map((column, at) => {
        const weight = weights[row][at];
        const cell = make('td', {
          role: 'gridcell',
          tabindex: row || at ? -1 : 0,
          'data-row': row,
          'data-column': at,
          'aria-label': `${column.name}, ${unit.name}: ${fixed(weight, 2)}`,
        });
        // Through the object model: the policy of the page forbids style attributes.
        cell.style.setProperty('--weight', weight / this.largest);
        return cell;
      })));
    heatmap.replaceChildren(make('thead', { role: 'rowgroup' }, top),
      make('tbody', { role: 'rowgroup' }, ...below));
  }

  /** Returns what a piece attends to, or what attends to it, in words. */
  spoken(axis, at) {
    const units = axis === 'row' ? this.columns : this.rows;
    const weights = axis === 'row' ? this.weights[at] : this.weights.map((row) => row[at]);
    const strongest = weights
      .map((weight, i) => [weight, units[i].name])
      .sort(([a], [b]) => b - a)
      .slice(0, NAMED)
      .filter(([weight]) => weight >= 0.005)
      .map(([weight, name]) => `${name} ${fixed(weight, 2)}`);
    const { name } = (axis === 'row' ? this.rows : this.columns)[at];
    const verb = axis === 'row' ? 'attends to' : 'is attended to by';
    return `${name} ${verb} ${strongest.join(', ') || 'nothing in particular'}`;
  }

  /** Marks a row, a column, or both, and what belongs to them. */
  mark({ row, column }) {
    if (row === undefined && column === undefined && this.isDrawn(this.focused)) {
      ({ row, column } = this.focused);
    }
    this.rowButtons.forEach((button, at) => {
      button.classList.toggle('marked', at === row);
      tint(button, row === undefined && column !== undefined
        ? this.weights[at][column] / this.largest : 0);
    });
    this.columnButtons.forEach((button, at) => {
      button.classList.toggle('marked', at === column);
      tint(button, column === undefined && row !== undefined
        ? this.weights[row][at] / this.largest : 0);
    });
    for (const element of byId('heatmap').querySelectorAll('.marked')) {
      element.classList.remove('marked');
    }
    const crossing = [
      ...(row === undefined ? [] : [`[data-row="${row}"]`]),
      ...(column === undefined ? [] : [`[data-column="${column}"]`]),
    ];
    if (crossing.length) {
      for (const element of byId('heatmap').querySelectorAll(crossing.join(', '))) {
        element.classList.add('marked');
      }
    }
    byId('readout').textContent = this.told(row, column);
  }

  isDrawn({ row, column }) {
    return (row === undefined || row < this.rows.length)
      && (column === undefined || column < this.columns.length);
  }

  told(row, column) {
    if (row !== undefined && column !== undefined) {
      const weight = fixed(this.weights[row][column], 2);
      return `${this.rows[row].name} attends to ${this.columns[column].name} ${weight}`;
    }
    if (row !== undefined) return this.spoken('row', row);
    if (column !== undefined) return this.spoken('column', column);
    return this.help;
  }

  /** Moves the focus with the arrow keys, along a line or within the heatmap. */
  move(event) {
    const from = event.target.closest('[data-row], [data-column]');
    if (!from || event.altKey || event.metaKey) return;
    const inLine = from.closest('.line');
    const to = inLine ? this.alongLine(inLine, from, event.key) : this.inHeatmap(from, event);
    if (!to) return;
    event.preventDefault();
    const group = inLine || byId('heatmap');
    for (const element of group.querySelectorAll('[tabindex="0"]')) element.tabIndex = -1;
    to.tabIndex = 0;
    to.focus();
  }

  alongLine(line, from, key) {
    const buttons = line.id === 'source-line' ? this.columnButtons : this.rowButtons;
    const at = buttons.indexOf(from);
    const [next, previous] = arrows(line.dir);
    const to = { [next]: at + 1, [previous]: at - 1, Home: 0, End: buttons.length - 1 }[key];
    return buttons[to];
  }

  inHeatmap(from, event) {
    // The heads are row and column -1; there is no cell in the corner.
    let { row = -1, column = -1 } = placeOf(from);
    const [lastRow, lastColumn] = [this.rows.length - 1, this.columns.length - 1];
    const [next, previous] = arrows(byId('heatmap').dir);
    if (event.key === next) column += 1;
    else if (event.key === previous) column -= 1;
    else if (event.key === 'ArrowDown') row += 1;
    else if (event.key === 'ArrowUp') row -= 1;
    else if (event.key === 'Home') [row, column] = [event.ctrlKey ? 0 : row, 0];
    else if (event.key === 'End') [row, column] = [event.ctrlKey ? lastRow : row, lastColumn];
    else return null;
    const selector = [row < 0 ? ':not([data-row])' : `[data-row="${row}"]`,
      column < 0 ? ':not([data-column])' : `[data-column="${column}"]`].join('');
    if (row < 0 && column < 0) return null;
    return byId('heatmap').querySelector(selector);
  }
}

/** Returns the units of a heatmap: the pieces of a text. */
function pieceUnits({ tokens, texts }) {
  return tokens.map((token, at) => {
    const text = texts[at];
    const label = text.trim() || (text ? '\u2423' : token);
    return {
      places: [at],
      text,
      label,
      name: quoted(label),
      shown: label,
      spaced: /^\s/.test(text) && text.trim() !== '' || !text,
      special: !text,
    };
  });
}

/** Returns the units of a heatmap: the words of a text, without special tokens. */
function wordUnits({ texts, words }) {
  const units = [];
  words.forEach((word, at) => {
    if (word < 0) return;
    units[word] ??= { places: [], text: '', spaced: word > 0, special: false };
    units[word].places.push(at);
    units[word].text += texts[at];
  });
  for (const unit of units) {
    unit.label = unit.shown = unit.text.trim();
    unit.name = quoted(unit.label);
  }
  return units;
}

/** Returns the row and the column that an element stands for; either may be undefined. */
function placeOf(element) {
  const found = element.closest('[data-row], [data-column]');
  if (!found) return {};
  const { row, column } = found.dataset;
  return {
    row: row === undefined ? undefined : Number(row),
    column: column === undefined ? undefined : Number(column),
  };
}

/** Returns a piece in quotation marks, isolated from the direction of what stands around it. */
const quoted = (text) => `\u201c\u2068${text}\u2069\u201d`;

function tint(element, weight) {
  element.style.setProperty('--weight', weight);
}

/** Returns the arrow keys that go forwards and backwards in a text. */
const arrows = (dir) =>
  dir === 'rtl' ? ['ArrowLeft', 'ArrowRight'] : ['ArrowRight', 'ArrowLeft'];

/** Returns the direction of a text, as a browser finds it for `dir=auto`. */
function direction(text) {
  const probe = make('bdi', { dir: 'auto', hidden: true }, text);
  document.body.append(probe);
  const found = getComputedStyle(probe).direction;
  probe.remove();
  return found;
}

/** Returns a language as the attribute `lang` has it. */
const known = (language) => (!language || language === 'auto' ? '' : language);
