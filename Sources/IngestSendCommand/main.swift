import CommandSupport

CommandRunner.main(SendCommand.self)
