/// A setting that was read, or why it could not be: devices and kernels differ in what they have.
public enum Reading<Value: Sendable>: Sendable {
  case value(Value)
  /// The device or the kernel has no such thing; the error has the kernel's words.
  case notSupported(NetlinkError)
  case failed(NetlinkError)

  init(_ read: () throws(NetlinkError) -> Value) {
    do throws(NetlinkError) {
      self = .value(try read())
    } catch {
      self = error.isNotSupported ? .notSupported(error) : .failed(error)
    }
  }

  /// The value, nil where there is none.
  public var value: Value? {
    guard case .value(let value) = self else { return nil }
    return value
  }

  /// Why there is no value.
  public var error: NetlinkError? {
    switch self {
    case .value: nil
    case .notSupported(let error), .failed(let error): error
    }
  }
}

extension Reading: Equatable where Value: Equatable {}
