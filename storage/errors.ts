/** What can go wrong with an object, told apart by what the caller has to do about it. */
export abstract class StorageError extends Error {
  abstract readonly code: string;
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** There is no such object (any more): trying again does not help. */
export class ObjectMissing extends StorageError {
  readonly code = 'object_missing';
  constructor(key: string, options?: ErrorOptions) {
    super(`The stored file ${key} is not there (any more).`, options);
  }
}

/** The object is not the one that was pinned: what was read of it before must not be mixed with what is there now. */
export class ObjectChanged extends StorageError {
  readonly code = 'object_changed';
  constructor(key: string, options?: ErrorOptions) {
    super(`The stored file ${key} was changed after it had been accepted.`, options);
  }
}

/** The upload was completed, aborted or never begun. */
export class UploadMissing extends StorageError {
  readonly code = 'upload_missing';
  constructor(key: string, options?: ErrorOptions) {
    super(`There is no open upload for ${key}.`, options);
  }
}

/** Parts that do not make an object: missing, out of order, or too small. The upload stays open. */
export class PartsRefused extends StorageError {
  readonly code = 'parts_refused';
}

/** The store does not answer, or not as it should: try again later. */
export class StoreUnavailable extends StorageError {
  readonly code = 'store_unavailable';
  constructor(what: string, options?: ErrorOptions) {
    super(`The object store did not ${what}.`, options);
  }
}

const codeOf = (error: unknown): string =>
  error instanceof Error && 'code' in error ? String((error as { code: unknown }).code) : '';

/** From what the S3 client throws to one of ours. */
export function asStorageError(error: unknown, key: string, what: string): StorageError {
  if (error instanceof StorageError) return error;
  const cause = { cause: error };
  switch (codeOf(error)) {
    case 'NoSuchKey':
    case 'NotFound':
      return new ObjectMissing(key, cause);
    case 'NoSuchUpload':
      return new UploadMissing(key, cause);
    case 'PreconditionFailed':
      return new ObjectChanged(key, cause);
    case 'InvalidPart':
    case 'InvalidPartOrder':
    case 'EntityTooSmall':
      return new PartsRefused('The parts of the upload do not fit together.', cause);
    default:
      return new StoreUnavailable(what, cause);
  }
}
