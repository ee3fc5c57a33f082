/**
 * The best one-to-one assignment of rows to columns in total (the Hungarian method): for each row its column, or -1
 * where nothing was worth more than zero.
 */
export function assign(weights: number[][]): number[] {
  const rows = weights.length;
  const columns = weights[0]?.length ?? 0;
  if (rows === 0 || columns === 0) return weights.map(() => -1);
  // Every row may also stay alone: as many columns that are worth nothing as there are rows.
  const width = columns + rows;
  const cost = (row: number, column: number) => (column <= columns ? -weights[row - 1]![column - 1]! : 0);
  const rowPotential = new Array<number>(rows + 1).fill(0);
  const columnPotential = new Array<number>(width + 1).fill(0);
  const rowOf = new Array<number>(width + 1).fill(0);
  for (let row = 1; row <= rows; row++) {
    const cameFrom = new Array<number>(width + 1).fill(0);
    const least = new Array<number>(width + 1).fill(Infinity);
    const done = new Array<boolean>(width + 1).fill(false);
    let column = 0;
    rowOf[0] = row;
    do {
      done[column] = true;
      const current = rowOf[column]!;
      let step = Infinity;
      let next = 0;
      for (let other = 1; other <= width; other++) {
        if (done[other]) continue;
        const reduced = cost(current, other) - rowPotential[current]! - columnPotential[other]!;
        if (reduced < least[other]!) {
          least[other] = reduced;
          cameFrom[other] = column;
        }
        if (least[other]! < step) {
          step = least[other]!;
          next = other;
        }
      }
      for (let other = 0; other <= width; other++) {
        if (done[other]) {
          rowPotential[rowOf[other]!]! += step;
          columnPotential[other]! -= step;
        } else least[other]! -= step;
      }
      column = next;
    } while (rowOf[column] !== 0);
    do {
      const previous = cameFrom[column]!;
      rowOf[column] = rowOf[previous]!;
      column = previous;
    } while (column !== 0);
  }
  const chosen = new Array<number>(rows).fill(-1);
  for (let column = 1; column <= columns; column++) {
    const row = rowOf[column]!;
    if (row > 0 && weights[row - 1]![column - 1]! > 0) chosen[row - 1] = column - 1;
  }
  return chosen;
}
