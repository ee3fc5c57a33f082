/** A file that was dropped somewhere on the console and waits for the page that takes it. */
class Dropped {
  file = $state.raw<File | null>(null);
  more = $state(false);
  /** A page is asking for one certain file, so a drop must not lead away from it. */
  wanted = $state(false);

  take(files: File[]): void {
    this.file = files[0] ?? null;
    this.more = files.length > 1;
  }

  /** Hands the file over; it is gone afterwards. */
  collect(): File | null {
    const file = this.file;
    this.file = null;
    return file;
  }
}

export const dropped = new Dropped();
