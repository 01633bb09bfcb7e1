//! The words that a TaskRun's Succeeded condition gives as its reason (runtime.md appendix B).

/// Why the Succeeded condition is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The controller has seen the run.
    Started,
    /// The Pod cannot run yet.
    Pending,
    /// Steps run.
    Running,
    /// The user holds the run.
    TaskRunPending,
    /// An image cannot be pulled yet.
    PullImageFailed,
    /// No node has room yet.
    ExceededNodeResources,
    /// The namespace's quota is used up.
    ExceededResourceQuota,
    /// The attempt failed, another follows.
    ToBeRetried,
    /// All steps ended well.
    Succeeded,
    /// It failed, and nothing more is known.
    Failed,
    /// A step exited with an error.
    StepFailed,
    /// A step used more memory than its limit.
    StepOom,
    /// A sidecar exited with an error and brought the Pod down.
    SidecarFailed,
    /// A sidecar used more memory than its limit.
    SidecarOom,
    /// An init container exited with an error.
    InitContainerFailed,
    /// An init container used more memory than its limit.
    InitContainerOom,
    /// The node threw the Pod out.
    PodEvicted,
    /// A Pod of higher priority took its place.
    PodPreempted,
    /// The node does not answer, or is gone.
    NodeLost,
    /// Somebody deleted the Pod.
    PodDeleted,
    /// The node did not take the Pod.
    PodRejected,
    /// The Pod failed, and whoever made the run does not mind.
    FailureIgnored,
    /// The user cancelled the run.
    TaskRunCancelled,
    /// The run took longer than its timeout.
    TaskRunTimeout,
    /// An image cannot be pulled.
    TaskRunImagePullFailed,
    /// A container's configuration names something that does not exist.
    CreateContainerConfigError,
    /// The API server or the kubelet refused the Pod.
    PodCreationFailed,
    /// A Pod security rule refused the Pod.
    PodAdmissionFailed,
    /// The run does not fit its Task.
    TaskRunValidationFailed,
    /// The Task is not valid.
    TaskValidationFailed,
    /// The Task or a StepAction cannot be found.
    TaskRunResolutionFailed,
    /// A parameter's value is not among the allowed ones.
    InvalidParamValue,
    /// A workspace's claim could not be made.
    CouldntCreateWorkspacePvc,
    /// Results are larger than they may be.
    TaskRunResultLargerThanAllowedLimit,
    /// Results that the steps have written did not arrive.
    TaskRunResultsNotRead,
}

impl Reason {
    const ALL: [Self; 35] = [
        Self::Started,
        Self::Pending,
        Self::Running,
        Self::TaskRunPending,
        Self::PullImageFailed,
        Self::ExceededNodeResources,
        Self::ExceededResourceQuota,
        Self::ToBeRetried,
        Self::Succeeded,
        Self::Failed,
        Self::StepFailed,
        Self::StepOom,
        Self::SidecarFailed,
        Self::SidecarOom,
        Self::InitContainerFailed,
        Self::InitContainerOom,
        Self::PodEvicted,
        Self::PodPreempted,
        Self::NodeLost,
        Self::PodDeleted,
        Self::PodRejected,
        Self::FailureIgnored,
        Self::TaskRunCancelled,
        Self::TaskRunTimeout,
        Self::TaskRunImagePullFailed,
        Self::CreateContainerConfigError,
        Self::PodCreationFailed,
        Self::PodAdmissionFailed,
        Self::TaskRunValidationFailed,
        Self::TaskValidationFailed,
        Self::TaskRunResolutionFailed,
        Self::InvalidParamValue,
        Self::CouldntCreateWorkspacePvc,
        Self::TaskRunResultLargerThanAllowedLimit,
        Self::TaskRunResultsNotRead,
    ];

    /// The reason that `word` stands for on the wire.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// Whether the Pod was taken from the run.
    pub const fn is_loss(self) -> bool {
        matches!(
            self,
            Self::PodEvicted | Self::PodPreempted | Self::NodeLost | Self::PodDeleted | Self::PodRejected
        )
    }

    /// Whether it can be that of a Pod whose first step never began.
    pub const fn is_of_start(self) -> bool {
        matches!(
            self,
            Self::Failed
                | Self::InitContainerFailed
                | Self::InitContainerOom
                | Self::SidecarFailed
                | Self::SidecarOom
                | Self::TaskRunImagePullFailed
                | Self::CreateContainerConfigError
                | Self::PodCreationFailed
                | Self::TaskRunTimeout
        )
    }

    /// Whether it is a Pod that has failed.
    pub const fn is_of_pod(self) -> bool {
        self.is_loss()
            || matches!(
                self,
                Self::Failed
                    | Self::StepFailed
                    | Self::StepOom
                    | Self::SidecarFailed
                    | Self::SidecarOom
                    | Self::InitContainerFailed
                    | Self::InitContainerOom
            )
    }

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Started => "Started",
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::TaskRunPending => "TaskRunPending",
            Self::PullImageFailed => "PullImageFailed",
            Self::ExceededNodeResources => "ExceededNodeResources",
            Self::ExceededResourceQuota => "ExceededResourceQuota",
            Self::ToBeRetried => "ToBeRetried",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::StepFailed => "StepFailed",
            Self::StepOom => "StepOOM",
            Self::SidecarFailed => "SidecarFailed",
            Self::SidecarOom => "SidecarOOM",
            Self::InitContainerFailed => "InitContainerFailed",
            Self::InitContainerOom => "InitContainerOOM",
            Self::PodEvicted => "PodEvicted",
            Self::PodPreempted => "PodPreempted",
            Self::NodeLost => "NodeLost",
            Self::PodDeleted => "PodDeleted",
            Self::PodRejected => "PodRejected",
            Self::FailureIgnored => "FailureIgnored",
            Self::TaskRunCancelled => "TaskRunCancelled",
            Self::TaskRunTimeout => "TaskRunTimeout",
            Self::TaskRunImagePullFailed => "TaskRunImagePullFailed",
            Self::CreateContainerConfigError => "CreateContainerConfigError",
            Self::PodCreationFailed => "PodCreationFailed",
            Self::PodAdmissionFailed => "PodAdmissionFailed",
            Self::TaskRunValidationFailed => "TaskRunValidationFailed",
            Self::TaskValidationFailed => "TaskValidationFailed",
            Self::TaskRunResolutionFailed => "TaskRunResolutionFailed",
            Self::InvalidParamValue => "InvalidParamValue",
            Self::CouldntCreateWorkspacePvc => "CouldntCreateWorkspacePVC",
            Self::TaskRunResultLargerThanAllowedLimit => "TaskRunResultLargerThanAllowedLimit",
            Self::TaskRunResultsNotRead => "TaskRunResultsNotRead",
        }
    }
}
