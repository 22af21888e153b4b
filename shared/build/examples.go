package build

import "time"

// The examples of the OpenAPI document, as values of the types they show.
var (
	exampleTime   = time.Date(2024, 2, 1, 10, 30, 0, 0, time.UTC)
	exampleState  = StateRow{ID: "018d64e2-6b20-7d4f-8a63-2e3d4c5b6a79", BuildID: exampleBuild.ID, StateCode: 45, State: 45, Status: InProgress, Message: "Mounting volumes", StartTime: exampleTime, Attempt: 1, Timestamp: exampleTime, CreatedAt: exampleTime}
	exampleBuild  = Build{ID: "018d64e2-5a10-7c3e-9f52-1d2c3b4a5968", Number: "2024.02.001", ProjectID: "018d64e2-0000-7000-8000-000000000001", PlatformID: "aws-commercial", OSVersionID: "rhel-9.3", ImageTypeID: "base", Current: 45, Status: InProgress, Attempt: 1, Rev: 8, CreatedBy: "ci", CreatedAt: exampleTime, UpdatedAt: exampleTime, StartTime: &exampleTime}
	exampleCreate = map[string]any{"project_id": "rhel-9", "platform_id": "aws-commercial", "os_version_id": "rhel-9.3", "image_type_id": "base",
		"build_number": "2024.02.001", "build_metadata": map[string]any{"commit_sha": "abc123"}}
	exampleReport    = map[string]any{"state_code": 45, "status": "in_progress", "message": "Mounting volumes", "metadata": map[string]any{"progress_percent": 45}}
	exampleFailureIn = map[string]any{"state_code": 45, "error_message": "Volume mount failed", "error_code": "MOUNT_001", "component": "ansible", "is_retryable": true}
	exampleFailure   = FailureRow{ID: "018d64e2-7c31-7e5a-9b74-3f4e5d6c7b8a", BuildID: exampleBuild.ID, StateCode: 45, State: 45, FailureClass: Transient, ErrorMessage: "Volume mount failed",
		ErrorCode: "MOUNT_001", Component: "ansible", RetryAttempt: 1, Attempt: 1, Status: Failed, CreatedAt: exampleTime}
)
