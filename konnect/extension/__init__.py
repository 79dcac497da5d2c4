"""The extension points: interfaces that other distributions implement, and how they are found."""
