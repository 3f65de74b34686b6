import CommandSupport

CommandRunner.main(IngestTool.self)
